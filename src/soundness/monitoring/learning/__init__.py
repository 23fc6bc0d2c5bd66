"""Normal sound of a sensor: learned, followed as it wanders, corrected by answers."""
