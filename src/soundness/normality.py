"""What normal clips sound like, band by band: kept in a detector, so that one can tell whether it has moved.

NumPy alone. Three statistics of each clip, of few bytes: how loud each band is on average, how loud it is in its quiet
moments, and how loud the whole is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["FLOOR_QUANTILE", "Normality"]

FLOOR_QUANTILE = 0.1
"""Of a band's log-mel over time: what is left when nothing passes by."""

_SAME_DB = 1e-3  # clips whose bands agree so closely are one recording

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Normality:
    """Band statistics of normal clips.

    Parameters
    ----------
    means
        Mean log-mel of each clip over time, dB, shape ``(clip, mel)``.
    floors
        A low quantile of it over time, dB, shape ``(clip, mel)``.
    levels
        Mean power of each clip, summed over the bands, dB, shape ``(clip,)``.
    domains
        Index of each clip's domain in `names`, shape ``(clip,)``.
    names
        Domains; ``""`` where there are none.
    n_channels
        How many channels the recordings had, each number that occurred; empty where it is not known.
    """

    means: Floats
    floors: Floats
    levels: Floats
    domains: NDArray[np.int64]
    names: tuple[str, ...]
    n_channels: tuple[int, ...] = ()

    @classmethod
    def of(cls, log_mels: Sequence[NDArray[Any]], domains: Sequence[str], *, n_channels: Sequence[int] = ()) -> Self:
        """Measure clips.

        Parameters
        ----------
        log_mels
            dB, each of shape ``(mel, frame)``.
        domains
            Of each clip.
        n_channels
            Of each clip, or nothing.
        """
        names = tuple(dict.fromkeys(domains))
        powers = [10.0 ** (log_mel.astype(np.float64) / 10.0) for log_mel in log_mels]
        return cls(
            np.stack([log_mel.mean(axis=1, dtype=np.float64) for log_mel in log_mels]).astype(np.float32),
            np.stack([np.quantile(log_mel, FLOOR_QUANTILE, axis=1) for log_mel in log_mels]).astype(np.float32),
            np.array([10.0 * np.log10(power.mean(axis=1).sum()) for power in powers], np.float32),
            np.array([names.index(domain) for domain in domains], np.int64),
            names,
            tuple(sorted(set(n_channels))),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> Self:
        """Rebuild from `arrays` and `about`."""
        means, floors, levels = arrays["means"], arrays["floors"], arrays["levels"]
        return cls(means, floors, levels, arrays["domains"], tuple(about["names"]), tuple(about["n_channels"]))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its arrays, by name."""
        return {"means": self.means, "floors": self.floors, "levels": self.levels, "domains": self.domains}

    def about(self) -> dict[str, Any]:
        """What is no array, by name."""
        return {"names": list(self.names), "n_channels": list(self.n_channels)}

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self.levels)

    def joined(self, others: Self) -> "Normality":
        """These clips, and then the others."""
        names = tuple(dict.fromkeys(self.names + others.names))
        moved = np.array([names.index(name) for name in others.names], np.int64)
        return Normality(
            np.concatenate([self.means, others.means]),
            np.concatenate([self.floors, others.floors]),
            np.concatenate([self.levels, others.levels]),
            np.concatenate([self.domains, moved[others.domains]]),
            names,
            tuple(sorted({*self.n_channels, *others.n_channels})),
        )

    def of_domain(self, name: str) -> NDArray[np.bool_]:
        """Which clips are of a domain, shape ``(clip,)``."""
        chosen: NDArray[np.bool_] = self.domains == self.names.index(name)
        return chosen

    def same_as(self, means: Floats, floors: Floats) -> int | None:
        """Index of the clip that has these bands, shape ``(mel,)`` each, and so is the same; ``None`` without one."""
        apart = np.abs(self.means - means).max(axis=1) + np.abs(self.floors - floors).max(axis=1)
        return int(apart.argmin()) if len(apart) and apart.min() <= _SAME_DB else None
