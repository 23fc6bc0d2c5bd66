"""Record of what a log-mel is too coarse to show of a clip."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ClipDetails"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClipDetails:
    """Spectra of a clip that are finer in time or in frequency than its log-mel.

    Parameters
    ----------
    envelopes
        Power of groups of bands over time, dB, shape ``(group, frame)``; see
        `soundness.audio.spectra.envelopes.Envelopes`.
    long_spectra
        Spectrum of each part of the clip, dB, shape ``(part, bin)``; see
        `soundness.audio.spectra.long_spectrum.LongSpectrum`.
    """

    envelopes: NDArray[np.float32]
    long_spectra: NDArray[np.float32]

    def shortened(self, share: float, *, place: float) -> "ClipDetails":
        """Details as if a share of the clip had been cut from it; of the long spectra the parts that lie within it.

        A part holds windows that reach beyond the middle of its neighbours, so one part less than the share is kept: a
        mean of more windows than a short clip has would scatter less than its own.

        Parameters
        ----------
        share
            Share of the clip's length, above 0 and at most 1.
        place
            Place that it is cut from, from 0 (the beginning) to 1 (the end).
        """
        return ClipDetails(
            envelopes=self.envelopes[:, _part(self.envelopes.shape[1], round(share * self.envelopes.shape[1]), place)],
            long_spectra=self.long_spectra[_part(len(self.long_spectra), self._n_parts(share), place)],
        )

    def _n_parts(self, share: float) -> int:
        return len(self.long_spectra) if share == 1.0 else math.ceil(share * len(self.long_spectra)) - 1


def _part(n_steps: int, n_kept: int, place: float) -> slice:
    n_kept = max(1, n_kept)
    start = round(place * (n_steps - n_kept))
    return slice(start, start + n_kept)
