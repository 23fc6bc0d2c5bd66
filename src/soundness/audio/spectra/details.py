"""Record of what a log-mel is too coarse to show of a clip."""

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
        """Details as if a share of the clip had been cut from it; of the long spectra the parts that lie nearest.

        Parameters
        ----------
        share
            Share of the clip's length, above 0 and at most 1.
        place
            Place that it is cut from, from 0 (the beginning) to 1 (the end).
        """
        return ClipDetails(
            envelopes=self.envelopes[:, _part(self.envelopes.shape[1], share, place)],
            long_spectra=self.long_spectra[_part(len(self.long_spectra), share, place)],
        )


def _part(n_steps: int, share: float, place: float) -> slice:
    n_kept = max(1, round(share * n_steps))
    start = round(place * (n_steps - n_kept))
    return slice(start, start + n_kept)
