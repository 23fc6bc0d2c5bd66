"""From a waveform to the log-mels that a representation takes."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from soundness.errors import AudioError

if TYPE_CHECKING:  # loads PyTorch
    pass

__all__ = ["one_channel"]


def one_channel(waveform: NDArray[np.float32], *, channel: int) -> NDArray[np.float32]:
    """The channel that is listened to, shape ``(1, time)``, of a waveform of shape ``(channel, time)``.

    Raises
    ------
    AudioError
        If there is no such channel.
    """
    if channel >= len(waveform):
        raise AudioError(f"{len(waveform)} channel(s); audio.channel {channel} (counted from 0) is listened to")
    return waveform[channel : channel + 1]
