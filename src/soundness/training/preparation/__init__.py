"""Training recordings made ready: cut, read, and compared with each other."""
