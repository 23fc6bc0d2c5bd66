"""Names and band statistics of normal clips, kept with a detector. NumPy alone.

Three statistics of each clip, of few bytes: the level of each band on average and in its quiet moments, and the level
of the whole. With these a clip can be explained by the nearest normal one, and a change of what is normal be detected.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from soundness.data.clips import Clip
from soundness.errors import BundleError
from soundness.files.stored_values import Note, floats, indices, integers, stored_value
from soundness.scoring.covariance import centred_by_domain
from soundness.screening.sound_prints import LONGEST_PRINT, SoundPrint, pack_prints, sound_print, unpack_prints
from soundness.settings.fields import PositiveInt

__all__ = ["FLOOR_QUANTILE", "NormalClips", "name_of"]

FLOOR_QUANTILE = 0.1
"""Quantile of a band's log-mel over time that gives its level in quiet moments."""

_PREDICTING_BANDS = 8
_RIDGE = 0.1  # in mean variances
_SMALLEST_DROP_DB = 0.01

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredNames:
    """Plain values of normal clips in a file."""

    names: tuple[Note, ...]
    domain_names: tuple[Note, ...]
    n_channels: tuple[PositiveInt, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NormalClips:
    """Names and band statistics of normal clips, in the order of `soundness.scoring.protocol.Scorer.nearest`.

    Parameters
    ----------
    names
        Folder and file of each, with ``/`` between them.
    means
        Mean over time of the log-mel that is scored, dB, shape ``(clip, mel)``.
    floors
        Low quantile over time of the same, dB, shape ``(clip, mel)``.
    levels
        Mean power of each clip, summed over the bands, dB, shape ``(clip,)``.
    domains
        Index of each clip's domain in `domain_names`, shape ``(clip,)``.
    domain_names
        Domains; ``""`` where there are none.
    n_channels
        Numbers of channels that occurred among the recordings; empty if not known.
    prints
        Sound print of each, by which it is recognised under another name, up to 512 frames; empty if not known.
    """

    names: tuple[str, ...]
    means: Floats
    floors: Floats
    levels: Floats
    domains: NDArray[np.int64]
    domain_names: tuple[str, ...]
    n_channels: tuple[int, ...] = ()
    prints: tuple[SoundPrint, ...] = ()

    @classmethod
    def from_log_mels(
        cls,
        log_mels: Sequence[NDArray[Any]],
        *,
        names: Sequence[str],
        domains: Sequence[str],
        n_channels: Sequence[int] = (),
    ) -> Self:
        """Compute the statistics of clips.

        Parameters
        ----------
        log_mels
            Log-mels in dB, each of shape ``(mel, frame)``.
        names, domains
            Name and domain of each clip.
        n_channels
            Number of channels of each clip, or nothing.
        """
        domain_names = tuple(dict.fromkeys(domains))
        powers = [10.0 ** (log_mel.astype(np.float64) / 10.0) for log_mel in log_mels]
        return cls(
            names=tuple(names),
            means=np.stack([log_mel.mean(axis=1, dtype=np.float64) for log_mel in log_mels]).astype(np.float32),
            floors=np.stack([np.quantile(log_mel, FLOOR_QUANTILE, axis=1) for log_mel in log_mels]).astype(np.float32),
            levels=np.array([10.0 * np.log10(power.mean(axis=1).sum()) for power in powers], np.float32),
            domains=np.array([domain_names.index(domain) for domain in domains], np.int64),
            domain_names=domain_names,
            n_channels=tuple(sorted(set(n_channels))),
            prints=tuple(sound_print(log_mel)[:, :LONGEST_PRINT] for log_mel in log_mels),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> Self:
        """Rebuild from `arrays` and `about`."""
        own = stored_value(_StoredNames, about, name="normal_clips")
        means = floats(arrays, "means", (len(own.names), None), single=True)
        return cls(
            names=own.names,
            means=means,
            floors=floats(arrays, "floors", means.shape, single=True),
            levels=floats(arrays, "levels", (len(own.names),), single=True),
            domains=indices(arrays, "domains", (len(own.names),), below=len(own.domain_names)),
            domain_names=own.domain_names,
            n_channels=own.n_channels,
            prints=tuple(_prints(arrays, n_clips=len(own.names), n_bands=means.shape[1])),
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays, by name."""
        signs, is_there = pack_prints(self.prints)
        statistics: dict[str, NDArray[Any]] = {
            "means": self.means,
            "floors": self.floors,
            "levels": self.levels,
            "domains": self.domains,
        }
        return {**statistics, "prints": signs, "print_frames": is_there}

    def about(self) -> dict[str, Any]:
        """Plain values, by name."""
        return {"names": self.names, "domain_names": self.domain_names, "n_channels": self.n_channels}

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.names)

    def concatenate(self, others: Self) -> Self:
        """These clips, and then the others."""
        domain_names = tuple(dict.fromkeys(self.domain_names + others.domain_names))
        moved = np.array([domain_names.index(name) for name in others.domain_names], np.int64)
        return replace(
            self,
            names=self.names + others.names,
            means=np.concatenate([self.means, others.means]),
            floors=np.concatenate([self.floors, others.floors]),
            levels=np.concatenate([self.levels, others.levels]),
            domains=np.concatenate([self.domains, moved[others.domains]]),
            domain_names=domain_names,
            n_channels=tuple(sorted({*self.n_channels, *others.n_channels})),
            prints=self.prints + others.prints,
        )

    def subset(self, indices: NDArray[np.int64]) -> Self:
        """The clips of these indices."""
        return replace(
            self,
            names=tuple(self.names[index] for index in indices),
            means=self.means[indices],
            floors=self.floors[indices],
            levels=self.levels[indices],
            domains=self.domains[indices],
            prints=tuple(self.prints[index] for index in indices) if self.prints else (),
        )

    def of_domain(self, name: str) -> NDArray[np.bool_]:
        """True for the clips of a domain, shape ``(clip,)``."""
        chosen: NDArray[np.bool_] = self.domains == self.domain_names.index(name)
        return chosen

    def nearest(self, mean: NDArray[np.floating[Any]], n_clips: int) -> NDArray[np.int64]:
        """Indices of the clips whose means are nearest to one of shape ``(mel,)``, nearest first."""
        distances = np.square(self.means - mean).sum(axis=1)
        return np.argsort(distances, kind="stable")[:n_clips]

    def completed(self, log_mel: NDArray[np.float32], *, n_known: int) -> NDArray[np.float32]:
        """Log-mel of a clip whose highest bands are not known, with those expected of a normal clip.

        They keep their course over time, but get the mean and the low quantile that a regression on the highest of the
        known bands gives, as they differ from the nearest normal clip. So they make the clip neither more nor less
        anomalous than its other bands do.

        Parameters
        ----------
        log_mel
            dB, shape ``(mel, frame)``.
        n_known
            Number of bands, from the lowest, that are known.
        """
        mean = log_mel.mean(axis=1, dtype=np.float64)
        floor = np.quantile(log_mel, FLOOR_QUANTILE, axis=1)
        nearest = int(np.square(self.means[:, :n_known] - mean[:n_known]).sum(axis=1).argmin())
        known = slice(max(0, n_known - _PREDICTING_BANDS), n_known)
        upper = [
            own[nearest, n_known:] + (clip[known] - own[nearest, known]) @ self._slopes(own, known, n_known)
            for own, clip in ((self.means, mean), (self.floors, floor))
        ]
        course = log_mel[n_known:].astype(np.float64) - mean[n_known:, None]
        drop = np.maximum((mean - floor)[n_known:], _SMALLEST_DROP_DB)
        course *= (np.maximum(upper[0] - upper[1], 0.0) / drop)[:, None]
        return np.concatenate([log_mel[:n_known], (upper[0][:, None] + course).astype(np.float32)])

    def level_change(self, log_mel: NDArray[np.float32]) -> float:
        """Difference in level from the normal clip whose spectrum is most like that of a clip, in dB.

        Parameters
        ----------
        log_mel
            dB, shape ``(mel, frame)``.
        """
        apart = log_mel.mean(axis=1, dtype=np.float64) - self.means
        changes = np.median(apart, axis=1)
        return float(changes[np.square(apart - changes[:, None]).sum(axis=1).argmin()])

    def _slopes(self, bands: Floats, known: slice, n_known: int) -> NDArray[np.float64]:
        """Slopes of the bands from ``n_known`` on by those that predict them, shape ``(predicting, predicted)``."""
        centred = centred_by_domain(bands.astype(np.float64), self.domains)
        below, above = centred[:, known], centred[:, n_known:]
        squares = np.einsum("ci,cj->ij", below, below)
        ridge = _RIDGE * max(float(np.trace(squares)) / len(squares), 1e-9)
        slopes: NDArray[np.float64] = np.linalg.solve(
            squares + ridge * np.eye(len(squares)), np.einsum("ci,cj->ij", below, above)
        )
        return slopes


def name_of(clip: Clip) -> str:
    """Folder and file of a clip, by which it is kept, and the time of a part: ``fan/a.wav @ 00:10``."""
    name = "/".join(clip.path.parts[-2:])
    return name if clip.part is None else f"{name} {clip.part}"


def _prints(arrays: Mapping[str, NDArray[Any]], *, n_clips: int, n_bands: int) -> list[SoundPrint]:
    """Sound prints from a file."""
    n_frames = arrays["prints"].shape[-1] if arrays["prints"].ndim == 2 else 0
    if n_frames > LONGEST_PRINT:
        raise BundleError(f"array prints: {n_frames} frames; at most {LONGEST_PRINT} are expected")
    signs = integers(arrays, "prints", (n_clips, n_frames), np.int16)
    is_there = integers(arrays, "print_frames", (n_clips, (n_frames + 7) // 8), np.uint8)
    return unpack_prints(signs, is_there, n_bands=n_bands)
