"""From an anomaly score to its p-value, its threshold and an alarm. NumPy alone."""
