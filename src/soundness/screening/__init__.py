"""Screening of normal recordings: copies and shared sound among them, and clips that are not normal; NumPy alone."""
