"""Counts of a watch, for its last line."""

from dataclasses import dataclass

__all__ = ["WatchCounts"]


@dataclass(slots=True)
class WatchCounts:
    """Numbers of recordings and alarms of a watch."""

    n_scored: int = 0
    n_failed: int = 0
    n_alarms: int = 0
    n_unsent: int = 0
    n_waiting: int = 0
    """Recordings that are there at the end and have no row, such as those that are still being written."""
    n_closed: int = 0
    """Folders that cannot be listed at the end."""
