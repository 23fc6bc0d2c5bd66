"""Separation of a recording into machine and noise."""
