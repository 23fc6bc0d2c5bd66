"""Distance of a clip to the normal clips of one domain, in several definitions."""
