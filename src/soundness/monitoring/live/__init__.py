"""A monitor around the clock: configuration, clips of streams, scoring, alarms, learning."""
