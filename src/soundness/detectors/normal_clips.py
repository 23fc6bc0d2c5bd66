"""What a detector remembers of normal clips: their names, and what they sound like, band by band. NumPy alone.

Three statistics of each clip, of few bytes: how loud each band is on average, how loud it is in its quiet moments, and
how loud the whole is. So a clip can be explained by the normal one that is nearest, and one can tell whether what is
normal has moved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from soundness.data.clips import Clip

__all__ = ["FLOOR_QUANTILE", "NormalClips", "name_of"]

FLOOR_QUANTILE = 0.1
"""Of a band's log-mel over time: what is left when nothing passes by."""

_SAME_DB = 1e-3  # clips whose bands agree so closely are one recording

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class NormalClips:
    """Names and band statistics of normal clips, in the order of `soundness.scoring.protocol.Scorer.nearest`.

    Parameters
    ----------
    names
        File and folder of each, with ``/`` between them.
    means
        Mean log-mel of each clip over time, as it is scored, dB, shape ``(clip, mel)``.
    floors
        A low quantile of it over time, dB, shape ``(clip, mel)``.
    levels
        Mean power of each clip, summed over the bands, dB, shape ``(clip,)``.
    domains
        Index of each clip's domain in `domain_names`, shape ``(clip,)``.
    domain_names
        Domains; ``""`` where there are none.
    n_channels
        How many channels the recordings had, each number that occurred; empty where it is not known.
    """

    names: tuple[str, ...]
    means: Floats
    floors: Floats
    levels: Floats
    domains: NDArray[np.int64]
    domain_names: tuple[str, ...]
    n_channels: tuple[int, ...] = ()

    @classmethod
    def from_log_mels(
        cls,
        log_mels: Sequence[NDArray[Any]],
        *,
        names: Sequence[str],
        domains: Sequence[str],
        n_channels: Sequence[int] = (),
    ) -> Self:
        """Measure clips.

        Parameters
        ----------
        log_mels
            dB, each of shape ``(mel, frame)``.
        names, domains
            Of each clip.
        n_channels
            Of each clip, or nothing.
        """
        domain_names = tuple(dict.fromkeys(domains))
        powers = [10.0 ** (log_mel.astype(np.float64) / 10.0) for log_mel in log_mels]
        return cls(
            tuple(names),
            np.stack([log_mel.mean(axis=1, dtype=np.float64) for log_mel in log_mels]).astype(np.float32),
            np.stack([np.quantile(log_mel, FLOOR_QUANTILE, axis=1) for log_mel in log_mels]).astype(np.float32),
            np.array([10.0 * np.log10(power.mean(axis=1).sum()) for power in powers], np.float32),
            np.array([domain_names.index(domain) for domain in domains], np.int64),
            domain_names,
            tuple(sorted(set(n_channels))),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> Self:
        """Rebuild from `arrays` and `about`."""
        return cls(
            tuple(about["names"]),
            arrays["means"],
            arrays["floors"],
            arrays["levels"],
            arrays["domains"],
            tuple(about["domain_names"]),
            tuple(about["n_channels"]),
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its arrays, by name."""
        return {"means": self.means, "floors": self.floors, "levels": self.levels, "domains": self.domains}

    def about(self) -> dict[str, Any]:
        """What is no array, by name."""
        return {
            "names": list(self.names),
            "domain_names": list(self.domain_names),
            "n_channels": list(self.n_channels),
        }

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self.names)

    def joined(self, others: Self) -> "NormalClips":
        """These clips, and then the others."""
        domain_names = tuple(dict.fromkeys(self.domain_names + others.domain_names))
        moved = np.array([domain_names.index(name) for name in others.domain_names], np.int64)
        return NormalClips(
            self.names + others.names,
            np.concatenate([self.means, others.means]),
            np.concatenate([self.floors, others.floors]),
            np.concatenate([self.levels, others.levels]),
            np.concatenate([self.domains, moved[others.domains]]),
            domain_names,
            tuple(sorted({*self.n_channels, *others.n_channels})),
        )

    def chosen(self, indices: NDArray[np.int64]) -> "NormalClips":
        """Some of the clips."""
        return NormalClips(
            tuple(self.names[index] for index in indices),
            self.means[indices],
            self.floors[indices],
            self.levels[indices],
            self.domains[indices],
            self.domain_names,
            self.n_channels,
        )

    def of_domain(self, name: str) -> NDArray[np.bool_]:
        """Which clips are of a domain, shape ``(clip,)``."""
        chosen: NDArray[np.bool_] = self.domains == self.domain_names.index(name)
        return chosen

    def nearest(self, mean: NDArray[np.floating[Any]], n_clips: int) -> NDArray[np.int64]:
        """Indices of the clips whose means are most like one, shape ``(mel,)``, nearest first."""
        distances = np.square(self.means - mean).sum(axis=1)
        return np.argsort(distances, kind="stable")[:n_clips]

    def same_as(self, means: Floats, floors: Floats) -> int | None:
        """Index of the clip that has these bands, shape ``(mel,)`` each, and so is the same; ``None`` without one."""
        apart = np.abs(self.means - means).max(axis=1) + np.abs(self.floors - floors).max(axis=1)
        return int(apart.argmin()) if len(apart) and apart.min() <= _SAME_DB else None


def name_of(clip: Clip) -> str:
    """Folder and file of a clip, by which it is kept."""
    return "/".join(clip.path.parts[-2:])
