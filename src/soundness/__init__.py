"""Hear a machine fail before it does: anomalous sound detection from normal recordings alone."""
