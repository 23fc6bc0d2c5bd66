"""Containers of sound: what a header says, held against what its file holds."""
