"""From vectors to score, p-value and decision."""
