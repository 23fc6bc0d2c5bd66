"""Upkeep of a running monitor: detectors in use, the bank of normal clips, what is old, changed configuration."""
