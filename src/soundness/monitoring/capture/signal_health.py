"""Does a sensor give sound at all? Digital silence, a constant signal, a clipped one."""

import numpy as np

from soundness.aliases import Waveform

__all__ = ["SignalHealth"]

_FULL_SCALE = 0.999
_CLIPPED_SHARE = 0.05


class SignalHealth:
    """State of the signal of one sensor.

    Parameters
    ----------
    fault_seconds
        Time for which one defect must last to be a fault.
    """

    def __init__(self, fault_seconds: float) -> None:
        self.fault_seconds = fault_seconds
        self._defect, self._seconds = "", 0.0

    @property
    def fault(self) -> str:
        """The fault in words; empty if there is none."""
        return self._defect if self._seconds >= self.fault_seconds else ""

    def add(self, samples: Waveform, *, sample_rate: int) -> None:
        """Look at the next samples, shape ``(time,)``."""
        defect = self._defect_of(samples)
        if defect != self._defect:
            self._defect, self._seconds = defect, 0.0
        if defect:
            self._seconds += len(samples) / sample_rate

    def _defect_of(self, samples: Waveform) -> str:
        if not len(samples):
            return self._defect
        if not np.isfinite(samples).all():
            return "samples that are no numbers"
        lowest, highest = float(samples.min()), float(samples.max())
        if lowest == highest:
            return "digital silence" if lowest == 0.0 else "a constant signal"
        if max(-lowest, highest) >= _FULL_SCALE:
            share = float(np.mean(np.abs(samples) >= _FULL_SCALE))
            return "a clipped signal" if share >= _CLIPPED_SHARE else ""
        return ""
