"""A monitor around the clock: clips of streams, scoring, alarms, detectors that are replaced and renewed."""
