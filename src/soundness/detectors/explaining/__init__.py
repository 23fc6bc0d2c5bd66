"""Explanation of a score: the test that gave it, the places of what it found, and both in words."""
