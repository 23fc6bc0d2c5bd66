"""Vibration of machines that do not exist."""
