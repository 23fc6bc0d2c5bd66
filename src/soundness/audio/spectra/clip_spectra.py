"""From a waveform to the details of a clip."""

import numpy as np
from numpy.typing import NDArray

from soundness.audio.spectra.details import ClipDetails
from soundness.audio.spectra.envelopes import Envelopes
from soundness.audio.spectra.long_spectrum import LongSpectrum
from soundness.audio.spectra.power_spectra import at_unit_level
from soundness.settings.system import SystemSettings

__all__ = ["ClipSpectra"]


class ClipSpectra:
    """Computes the details of clips.

    Parameters
    ----------
    settings
        Settings of the system; sample rate, ``log_mel.fmin`` and ``log_mel.fmax`` are used.
    """

    def __init__(self, settings: SystemSettings) -> None:
        self.envelopes = Envelopes(settings.log_mel, sample_rate=settings.audio.sample_rate)
        self.long_spectrum = LongSpectrum(sample_rate=settings.audio.sample_rate)

    def __call__(self, waveform: NDArray[np.float32]) -> ClipDetails:
        """Details of a waveform in [-1, 1], shape ``(time,)``."""
        sound = at_unit_level(waveform)
        return ClipDetails(
            envelopes=self.envelopes.of_unit_level(sound), long_spectra=self.long_spectrum.of_unit_level(sound)
        )

    def known_below(self, details: ClipDetails, hz: float) -> ClipDetails:
        """Details of a clip that is known up to a frequency: NaN in groups and bins that reach above it."""
        envelopes, long_spectra = details.envelopes.copy(), details.long_spectra.copy()
        envelopes[self.envelopes.group_hz[:, 1] > hz] = np.nan
        long_spectra[:, np.arange(self.long_spectrum.n_bins) * self.long_spectrum.bin_hz > hz] = np.nan
        return ClipDetails(envelopes=envelopes, long_spectra=long_spectra)
