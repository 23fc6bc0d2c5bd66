"""From a source to clips on disk."""
