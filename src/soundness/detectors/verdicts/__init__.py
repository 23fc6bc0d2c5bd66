"""Scores of recordings as answers: verdicts, their reasons and notes, and the table of them."""
