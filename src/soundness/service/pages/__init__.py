"""Pages for people: overview, sensor, alarm."""
