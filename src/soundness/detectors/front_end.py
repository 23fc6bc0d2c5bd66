"""From a waveform to the spectrograms that a representation takes: channel, offset, separation, log-mel, details."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Waveform
from soundness.audio.log_mel import LogMel, Spectrograms, without_mean
from soundness.audio.reading import pick_channel
from soundness.audio.spectra.clip_spectra import ClipSpectra
from soundness.audio.spectra.details import ClipDetails
from soundness.errors import AudioError
from soundness.settings.system import SystemSettings

if TYPE_CHECKING:  # loads PyTorch
    from soundness.separation.separator import Separator

__all__ = ["Completion", "FrontEnd", "Source", "pair"]

Source = Literal["original", "separated"]
"""A recording's own channel, or the machine separated from it."""


class FrontEnd:
    """Channel, offset, separation and log-mel of a system.

    Parameters
    ----------
    settings
        Settings of the system; ``separation`` is no longer ``auto``.
    separator
        Separator that recordings pass through; ``None`` where they are used as they are.
    """

    def __init__(self, settings: SystemSettings, separator: "Separator | None" = None) -> None:
        self.settings = settings
        self.separator = separator
        self._log_mel = LogMel(settings.log_mel, sample_rate=settings.audio.sample_rate)
        self._details = ClipSpectra(settings) if settings.needs_details else None

    @property
    def sources(self) -> tuple[Source, ...]:
        """Sounds whose log-mels the system uses."""
        if self.separator is None:
            return ("original",)
        return ("separated",) if self.settings.separation == "denoise" else ("original", "separated")

    @property
    def reference_source(self) -> Source:
        """Sound that the clip's vectors describe."""
        return _reference_source(self.sources)

    def sound(self, waveform: Waveform, source: Source) -> Waveform:
        """Sound of a recording that the system uses, shape ``(1, time)``.

        Parameters
        ----------
        waveform
            Recording at the system's sample rate, shape ``(channel, time)``.
        source
            One of `sources`.

        Raises
        ------
        AudioError
            If the recording lacks the channel.
        """
        return self.machine_sound(pick_channel(waveform, channel=self.settings.audio.channel), source)

    def machine_sound(self, channel: Waveform, source: Source) -> Waveform:
        """Sound of the channel that is used, of shape ``(1, time)``; see `sound`."""
        if self.settings.audio.is_dc_removed:
            channel = without_mean(channel)
        if source == "original" or self.separator is None:
            return channel
        machine: Waveform = self.separator.separate(channel)[0]
        return machine

    def log_mel(self, sound: Waveform) -> NDArray[np.float32]:
        """Log-mel of a sound of shape ``(1, time)``, dB, shape ``(mel, frame)``.

        Raises
        ------
        AudioError
            If the sound is too loud for the numbers of a spectrum.
        """
        log_mel = self._log_mel(sound[0])
        if not np.isfinite(log_mel).all():
            raise AudioError("too loud: its spectrum overflows")
        return log_mel

    def details(self, sound: Waveform) -> ClipDetails | None:
        """Details of a sound of shape ``(1, time)``; ``None`` in a system that does not use them."""
        return None if self._details is None else self._details(sound[0])

    def details_below(self, details: ClipDetails | None, hz: float) -> ClipDetails | None:
        """Details of a sound that is known up to a frequency; see `ClipSpectra.known_below`."""
        return None if self._details is None or details is None else self._details.known_below(details, hz)

    def spectrograms(self, waveform: Waveform) -> Spectrograms:
        """Spectrograms that the representation takes; see `sound`.

        Raises
        ------
        AudioError
            If the recording lacks the channel or is too loud.
        """
        return self.channel_spectrograms(pick_channel(waveform, channel=self.settings.audio.channel))

    def channel_spectrograms(self, channel: Waveform) -> Spectrograms:
        """Spectrograms of the channel that is used, of shape ``(1, time)``; see `spectrograms`."""
        return self.sound_spectrograms({source: self.machine_sound(channel, source) for source in self.sources})

    def sound_spectrograms(self, sounds: Mapping[Source, Waveform]) -> Spectrograms:
        """Spectrograms of the sounds of a recording, each of shape ``(1, time)``, by `sources`; see `spectrograms`."""
        log_mels = {source: self.log_mel(sound) for source, sound in sounds.items()}
        return pair(log_mels, self.details(sounds[self.reference_source]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Completion:
    """Replaces what cannot be compared with the training in the spectrograms of a recording.

    Parameters
    ----------
    log_mel
        Log-mel, ``(mel, frame)``, with normal bands in the place of those that cannot be compared.
    details
        Details, with NaN in that place.
    """

    log_mel: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    details: Callable[[ClipDetails | None], ClipDetails | None]

    def __call__(self, clip: Spectrograms) -> Spectrograms:
        """Spectrograms of a system without a separator, whose log-mels are one."""
        log_mel = self.log_mel(clip.reference)
        return Spectrograms(input=log_mel, reference=log_mel, details=self.details(clip.details))


def pair(log_mels: Mapping[Source, NDArray[np.float32]], details: ClipDetails | None = None) -> Spectrograms:
    """Input and reference of a representation; both are the one log-mel where there is one."""
    input_source: Source = "original" if "original" in log_mels else "separated"
    reference = log_mels[_reference_source(log_mels)]
    return Spectrograms(input=log_mels[input_source], reference=reference, details=details)


def _reference_source(sources: Collection[Source]) -> Source:
    return "separated" if "separated" in sources else "original"
