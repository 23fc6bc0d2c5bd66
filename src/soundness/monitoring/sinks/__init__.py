"""Places that alarms and states go to."""
