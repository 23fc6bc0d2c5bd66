"""What a clip becomes without a network: statistics of its log-mel spectrogram over time."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from soundness.audio.log_mel import Spectrograms
from soundness.representations.poolings import mean_over_time, pooled, quantile_over_time
from soundness.settings.fields import Pooling
from soundness.settings.system import SystemSettings

__all__ = ["MeanLogMel", "PooledLogMel", "QuantileLogMel", "band_statistics"]

_SMALLEST_DEVIATION_DB = 1.0

Bands = NDArray[np.float32]


class MeanLogMel:
    """A clip becomes its mean log-mel: one vector, whatever the condition.

    Parameters
    ----------
    mean, deviation
        Of each band over all training frames, dB, shape ``(mel,)``; they scale the error map, not the vector.
    """

    def __init__(self, *, mean: Bands, deviation: Bands) -> None:
        self.mean = mean
        self.deviation = deviation

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: SystemSettings) -> Self:  # noqa: ARG003  # the protocol passes settings to all
        """Rebuild from `arrays`."""
        return cls(mean=arrays["mean"], deviation=arrays["deviation"])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Mean and deviation, by name."""
        return {"mean": self.mean, "deviation": self.deviation}

    def vectors(self, clip: Spectrograms) -> NDArray[np.float32]:
        """Mean of each band in dB, shape ``(1, mel)``."""
        return mean_over_time(clip.wanted)[None]

    def error_map(self, clip: Spectrograms) -> NDArray[np.float32]:
        """Squared distance from the band's mean, in its deviations, shape ``(mel, frame)``."""
        return np.square(self.deviation_map(clip))

    def deviation_map(self, clip: Spectrograms) -> NDArray[np.float32]:
        """Distance from the band's mean with its sign, in the band's deviations, shape ``(mel, frame)``."""
        return (clip.wanted - self.mean[:, None]) / self.deviation[:, None]

    @property
    def band_deviations(self) -> Bands:
        """Deviation of each band over all training frames, dB, shape ``(mel,)``."""
        return self.deviation


class QuantileLogMel(MeanLogMel):
    """A clip becomes a low quantile of its log-mel over time, which passing noise does not reach.

    Parameters
    ----------
    mean, deviation
        See `MeanLogMel`.
    quantile
        Between 0 and 1.
    """

    def __init__(self, *, mean: Bands, deviation: Bands, quantile: float) -> None:
        super().__init__(mean=mean, deviation=deviation)
        self.quantile = quantile

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: SystemSettings) -> Self:
        """Rebuild from `arrays`."""
        return cls(mean=arrays["mean"], deviation=arrays["deviation"], quantile=settings.quantile)

    def vectors(self, clip: Spectrograms) -> NDArray[np.float32]:
        """Quantile of each band in dB, shape ``(1, mel)``."""
        return quantile_over_time(clip.wanted, self.quantile)[None]


class PooledLogMel(MeanLogMel):
    """A clip becomes several statistics of its log-mel over time: a view for each, one after the other in its vector.

    Parameters
    ----------
    mean, deviation
        See `MeanLogMel`.
    poolings
        See `soundness.representations.poolings.pooled`.
    """

    def __init__(self, *, mean: Bands, deviation: Bands, poolings: Sequence[Pooling]) -> None:
        super().__init__(mean=mean, deviation=deviation)
        self.poolings = poolings

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: SystemSettings) -> Self:
        """Rebuild from `arrays`."""
        return cls(mean=arrays["mean"], deviation=arrays["deviation"], poolings=settings.poolings)

    @property
    def view_sizes(self) -> tuple[int, ...]:
        """Features of each view."""
        return tuple(len(view) for view in self._views(np.zeros((len(self.mean), 2), np.float32)))

    def vectors(self, clip: Spectrograms) -> NDArray[np.float32]:
        """Views of a clip, one after the other, shape ``(1, feature)``."""
        return np.concatenate(self._views(clip.wanted))[None]

    def _views(self, log_mel: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return pooled(log_mel, self.poolings)


def band_statistics(log_mels: Sequence[NDArray[np.float32]]) -> tuple[Bands, Bands]:
    """Mean and deviation of each band over all frames of all clips, in dB.

    A deviation is at least 1 dB, so that a band in which nothing ever happened (above a microphone's cut-off, say) does
    not drown the others.

    Parameters
    ----------
    log_mels
        dB, each of shape ``(mel, frame)``.

    Returns
    -------
    tuple[NDArray[np.float32], NDArray[np.float32]]
        Shape ``(mel,)`` each.
    """
    n_frames = sum(log_mel.shape[-1] for log_mel in log_mels)
    mean = np.sum([log_mel.sum(axis=-1, dtype=np.float64) for log_mel in log_mels], axis=0) / n_frames
    squares = np.sum([np.square(log_mel - mean[:, None]).sum(axis=-1) for log_mel in log_mels], axis=0)
    deviation = np.maximum(np.sqrt(squares / n_frames), _SMALLEST_DEVIATION_DB)
    return mean.astype(np.float32), deviation.astype(np.float32)
