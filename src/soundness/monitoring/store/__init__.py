"""Database of a monitor: clips, alarms, sensors, deliveries."""
