"""Interface for programs, under ``/api``."""
