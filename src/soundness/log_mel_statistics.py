"""What a clip becomes without a network: statistics of its log-mel spectrogram over time."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import torch
from numpy.typing import NDArray
from torch import Tensor

from soundness.features import Spectrograms
from soundness.poolings import pooled
from soundness.setting_types import Pooling
from soundness.settings import SystemSettings

__all__ = ["MeanLogMel", "PooledLogMel", "QuantileLogMel", "band_statistics"]

_SMALLEST_DEVIATION_DB = 1.0


class MeanLogMel:
    """A clip becomes its mean log-mel: one vector, whatever the condition.

    Parameters
    ----------
    mean, deviation
        Of each band over all training frames, dB, shape ``(mel,)``; they scale the error map, not the vector.
    """

    def __init__(self, *, mean: Tensor, deviation: Tensor) -> None:
        self.mean = mean
        self.deviation = deviation

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: SystemSettings) -> Self:  # noqa: ARG003  # the protocol passes settings to all
        """Rebuild from `arrays`."""
        return cls(mean=torch.from_numpy(arrays["mean"]), deviation=torch.from_numpy(arrays["deviation"]))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Mean and deviation, by name."""
        return {"mean": self.mean.numpy(), "deviation": self.deviation.numpy()}

    def vectors(self, clip: Spectrograms) -> Tensor:
        """Mean of each band in dB, shape ``(1, mel)``."""
        return clip.wanted.mean(dim=-1)[None]

    def error_map(self, clip: Spectrograms) -> Tensor:
        """Squared distance from the band's mean, in its deviations, shape ``(mel, frame)``."""
        return self.deviation_map(clip).square()

    def deviation_map(self, clip: Spectrograms) -> Tensor:
        """Distance from the band's mean with its sign, in the band's deviations, shape ``(mel, frame)``."""
        return (clip.wanted - self.mean[:, None]) / self.deviation[:, None]

    @property
    def band_deviations(self) -> Tensor:
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

    def __init__(self, *, mean: Tensor, deviation: Tensor, quantile: float) -> None:
        super().__init__(mean=mean, deviation=deviation)
        self.quantile = quantile

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: SystemSettings) -> Self:
        """Rebuild from `arrays`."""
        mean, deviation = (torch.from_numpy(arrays[name]) for name in ("mean", "deviation"))
        return cls(mean=mean, deviation=deviation, quantile=settings.quantile)

    def vectors(self, clip: Spectrograms) -> Tensor:
        """Quantile of each band in dB, shape ``(1, mel)``."""
        return clip.wanted.quantile(self.quantile, dim=-1)[None]


class PooledLogMel(MeanLogMel):
    """A clip becomes several statistics of its log-mel over time: a view for each, one after the other in its vector.

    Parameters
    ----------
    mean, deviation
        See `MeanLogMel`.
    poolings
        See `soundness.poolings.pooled`.
    """

    def __init__(self, *, mean: Tensor, deviation: Tensor, poolings: Sequence[Pooling]) -> None:
        super().__init__(mean=mean, deviation=deviation)
        self.poolings = poolings

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], settings: SystemSettings) -> Self:
        """Rebuild from `arrays`."""
        mean, deviation = (torch.from_numpy(arrays[name]) for name in ("mean", "deviation"))
        return cls(mean=mean, deviation=deviation, poolings=settings.poolings)

    @property
    def view_sizes(self) -> tuple[int, ...]:
        """Features of each view."""
        return tuple(len(view) for view in self._views(torch.zeros(len(self.mean), 2)))

    def vectors(self, clip: Spectrograms) -> Tensor:
        """Views of a clip, one after the other, shape ``(1, feature)``."""
        return torch.cat(self._views(clip.wanted))[None]

    def _views(self, log_mel: Tensor) -> list[Tensor]:
        return pooled(log_mel, self.poolings)


def band_statistics(log_mels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each band over all frames of all clips, in dB.

    A deviation is at least 1 dB, so that a band in which nothing ever happened (above a microphone's cut-off, say) does
    not drown the others.

    Parameters
    ----------
    log_mels
        dB, each of shape ``(mel, frame)``.

    Returns
    -------
    tuple[Tensor, Tensor]
        Shape ``(mel,)`` each.
    """
    n_frames = sum(log_mel.shape[-1] for log_mel in log_mels)
    mean = sum((log_mel.double().sum(dim=-1) for log_mel in log_mels), torch.zeros(())) / n_frames
    squares = sum(((log_mel - mean[:, None]).square().sum(dim=-1) for log_mel in log_mels), torch.zeros(()))
    deviation = (squares / n_frames).sqrt().clamp(min=_SMALLEST_DEVIATION_DB)
    return mean.float(), deviation.float()
