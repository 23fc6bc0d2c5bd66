"""Upkeep of a running monitor: what is old goes, detector files that were replaced, changes of the configuration."""
