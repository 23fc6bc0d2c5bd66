"""Times in which clips are scored and begin no alarm: maintenance, and while alarms are ignored. Arithmetic alone."""

from collections.abc import Sequence

from soundness.monitoring.configuration.maintenance import MaintenanceWindow, window_at
from soundness.monitoring.store.records import ClipRow

__all__ = ["is_muted", "why_muted"]

_IGNORED, _MAINTENANCE = "ignored", "maintenance ("


def why_muted(row: ClipRow, windows: Sequence[MaintenanceWindow], *, ignored_until_us: int | None) -> str:
    """Reason why a clip begins no alarm, which is the last part of its row's note; empty without one.

    Parameters
    ----------
    row
        Row of the clip.
    windows
        Windows of maintenance.
    ignored_until_us
        Time until which alarms are ignored, microseconds since 1970, UTC; ``None`` if they are not.
    """
    if ignored_until_us is not None and row.start_us < ignored_until_us:
        return _IGNORED
    window = window_at(windows, row.start_us, row.end_us)
    return "" if window is None else f"{_MAINTENANCE}{window.text})"


def is_muted(row: ClipRow) -> bool:
    """True for the row of a clip that began no alarm for a reason of `why_muted`."""
    last = row.note.rpartition("; ")[2]
    return last == _IGNORED or last.startswith(_MAINTENANCE)
