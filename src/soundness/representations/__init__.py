"""A clip becomes a vector under each condition."""
