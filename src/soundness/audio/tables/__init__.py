"""Tables of numbers as recordings: vibration and process data."""
