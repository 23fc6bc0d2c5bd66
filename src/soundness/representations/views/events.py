r"""Events of a clip: the largest short changes of its log-mel, over few bands and many. float64 NumPy.

The mean over time does not see two frames of two hundred. So each frame is compared with the median of its own clip,
and the differences are averaged over moving windows of several durations. With their covariance :math:`C` in normal
clips, and a change :math:`s` of bands that lie together, the matched filter [1]_

.. math:: q(t) = \frac{s^T C^{-1} (r(t) - \bar r)}{\sqrt{s^T C^{-1} s}}

gives the change in deviations of normal sound. Its largest value over time is one feature of the clip for each duration
and each place and width in frequency; its smallest value, with the opposite sign, is one of a dropout.

The covariance of frames is learned from the training clips, so it fits them too well. `EventFilters.fit` gives filters
for each training clip that were learned without it, too.

References
----------
.. [1] S. M. Kay, "Fundamentals of Statistical Signal Processing, Volume II: Detection Theory", Prentice Hall, 1998,
   section 4.4.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array  # type: ignore[import-untyped]  # SciPy ships no types
from scipy.sparse.csgraph import connected_components  # type: ignore[import-untyped]  # SciPy ships no types

from soundness.aliases import Array
from soundness.files.stored_values import floats

__all__ = ["EventFilters", "event_changes", "median_differences", "window_step"]

_DURATIONS = (1, 2, 4, 8, 16, 32)  # frames
_WINDOWS_OF_LONGEST = 3  # that the shortest clip holds of the longest duration
_WIDTHS = ((1 / 16, 1 / 16), (3 / 16, 1 / 4))  # deviation and step of changes, as shares of all bands
_FOLDS = 8
_LARGEST_GROUP = 0.25  # of all clips, that goes into one fold
_SHRINKAGE = 0.8  # times bands over windows
_LEAST_SHRINKAGE, _MOST_SHRINKAGE = 0.03, 0.3
_SMALLEST_VARIANCE = 1e-6  # dB squared: bands in which nothing ever happens

Values = TypeVar("Values", NDArray[np.float32], Array)


def event_changes(n_bands: int) -> Array:
    """Changes of bands that lie together, and of all bands, as rows, shape ``(change, band)``.

    Of 128 bands, they are Gaussians with a deviation of 8 bands at each 8 bands, and of 24 at each 32.
    """
    bands, found = np.arange(n_bands), []
    for width, step in _WIDTHS:
        apart = max(1, round(step * n_bands))
        centres = np.arange(apart // 2, n_bands, apart)
        found.append(np.exp(-0.5 * np.square((bands - centres[:, None]) / max(1.0, width * n_bands))))
    return np.concatenate([*found, np.ones((1, n_bands))])


def window_step(duration: int) -> int:
    """Frames from one moving window to the next."""
    return max(1, duration // 4)


@dataclass(frozen=True, kw_only=True, eq=False)
class EventFilters:
    """Matched filters of short changes.

    Parameters
    ----------
    filters
        Weight of each band, 1/dB, shape ``(duration, change, mel)``; durations are 1, 2, 4 ... frames.
    offsets
        Output for the mean of normal sound, shape ``(duration, change)``.
    """

    filters: Array
    offsets: Array

    @classmethod
    def fit(
        cls, log_mels: Sequence[NDArray[np.float32]], *, dependent: NDArray[np.bool_] | None = None
    ) -> tuple[Self, tuple[Self, ...]]:
        """Filters of normal clips, and for each clip those that were learned without it and some others.

        Parameters
        ----------
        log_mels
            dB, each of shape ``(mel, frame)``, at least two.
        dependent
            See `soundness.scoring.protocol.TrainingVectors`: such clips are left out together, as far as can be.
        """
        shortest = min(log_mel.shape[1] for log_mel in log_mels)
        durations = [each for each in _DURATIONS if each == 1 or _WINDOWS_OF_LONGEST * each <= shortest]
        folds = _folds(len(log_mels), dependent)
        sums = [
            _total(_WindowSums.of_clip(log_mels[clip], durations) for clip in np.flatnonzero(folds == fold).tolist())
            for fold in range(1 + int(folds.max()))
        ]
        without = [cls._of_sums([*sums[:fold], *sums[fold + 1 :]]) for fold in range(len(sums))]
        return cls._of_sums(sums), tuple(without[fold] for fold in folds)

    @classmethod
    def _of_sums(cls, sums: "Sequence[_WindowSums]") -> Self:
        total = _total(sums)
        changes = event_changes(total.means.shape[1])
        filters, offsets = [], []
        for mean, covariance in zip(total.means, total.covariances, strict=True):
            matched = np.linalg.solve(covariance, changes.T).T  # (change, band)
            unit = matched / np.sqrt(np.einsum("cb,cb->c", matched, changes))[:, None]
            filters.append(unit)
            offsets.append(np.einsum("cb,b->c", unit, mean))
        return cls(filters=np.stack(filters), offsets=np.stack(offsets))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], *, n_bands: int) -> Self:
        """Rebuild from `arrays`."""
        filters = floats(arrays, "events.filters", (None, len(event_changes(n_bands)), n_bands))
        return cls(filters=filters, offsets=floats(arrays, "events.offsets", filters.shape[:2]))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Filters and offsets, by name."""
        return {"events.filters": self.filters, "events.offsets": self.offsets}

    @property
    def size(self) -> int:
        """Features of a clip."""
        return self.offsets.size

    @cached_property
    def durations(self) -> NDArray[np.int64]:
        """Frames of each duration, shape ``(duration,)``."""
        found: NDArray[np.int64] = 2 ** np.arange(len(self.filters))
        return found

    def outputs(self, log_mel: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Output of the filters over time for each duration, in deviations, each of shape ``(change, time)``.

        Values are for windows that begin at each frame, and for long ones at each quarter of a window.

        Parameters
        ----------
        log_mel
            dB, shape ``(mel, frame)``.
        """
        moving = _moving_means(median_differences(log_mel), self.durations.tolist())
        return [
            sums @ windows - offset[:, None].astype(np.float32)
            for sums, offset, windows in zip(self._sums, self.offsets, moving, strict=True)
        ]

    def course(self, log_mel: NDArray[np.float32], feature: int) -> NDArray[np.float32]:
        """Output over time whose largest value is a feature of a clip, shape ``(time,)``; see `outputs`."""
        duration, change = divmod(feature, self.offsets.shape[1])
        windows = _moving_means(median_differences(log_mel), self.durations[: duration + 1].tolist())[duration]
        (course,) = self._sums[duration][[change]] @ windows
        found: NDArray[np.float32] = course - np.float32(self.offsets[duration, change])
        return found

    def extremes(self, log_mel: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Largest rise over time for each duration and change, and largest fall, shape ``(feature,)`` each."""
        outputs = self.outputs(log_mel)
        rises, falls = ([output.max(axis=1) for output in outputs], [-output.min(axis=1) for output in outputs])
        return np.concatenate(rises), np.concatenate(falls)

    @cached_property
    def _sums(self) -> "list[csr_array]":
        """Filters of each duration as a sparse array, whose products are sums in the order of the bands."""
        return [csr_array(own.astype(np.float32)) for own in self.filters]


@dataclass(frozen=True, kw_only=True, eq=False)
class _WindowSums:
    """Sums over the moving windows of clips.

    Parameters
    ----------
    counts
        Windows of each duration, shape ``(duration,)``.
    n_apart
        The same, of windows that do not overlap.
    sums, products
        Sum of the windows, shape ``(duration, mel)``, and of their products, shape ``(duration, mel, mel)``.
    """

    counts: NDArray[np.int64]
    n_apart: NDArray[np.int64]
    sums: Array
    products: Array

    @classmethod
    def of_clip(cls, log_mel: NDArray[np.float32], durations: Sequence[int]) -> Self:
        moving = _moving_means(median_differences(log_mel).astype(np.float64), durations)
        return cls(
            counts=np.array([windows.shape[1] for windows in moving], np.int64),
            n_apart=np.array([max(1, log_mel.shape[1] // each) for each in durations], np.int64),
            sums=np.stack([windows.sum(axis=1) for windows in moving]),
            products=np.stack([windows @ windows.T for windows in moving]),
        )

    def plus(self, other: Self) -> Self:
        """Sums over the windows of both."""
        return type(self)(
            counts=self.counts + other.counts,
            n_apart=self.n_apart + other.n_apart,
            sums=self.sums + other.sums,
            products=self.products + other.products,
        )

    @property
    def means(self) -> Array:
        """Mean window of each duration, shape ``(duration, mel)``."""
        means: Array = self.sums / self.counts[:, None]
        return means

    @property
    def covariances(self) -> Array:
        """Covariance of the windows of each duration, shrunk towards its diagonal, ``(duration, mel, mel)``."""
        n_bands = self.sums.shape[1]
        found = []
        for count, n_apart, mean, products in zip(self.counts, self.n_apart, self.means, self.products, strict=True):
            covariance = products / count - np.outer(mean, mean)
            variances = np.maximum(np.diag(covariance), _SMALLEST_VARIANCE)
            shrinkage = min(_MOST_SHRINKAGE, max(_LEAST_SHRINKAGE, _SHRINKAGE * n_bands / n_apart))
            found.append((1.0 - shrinkage) * covariance + np.diag(shrinkage * variances))
        return np.stack(found)


def _folds(n_clips: int, dependent: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Fold of each clip, shape ``(clip,)``: a group goes to the smallest fold; parts of the order if one is large."""
    n_folds = min(_FOLDS, n_clips)
    pairs = np.eye(n_clips, dtype=np.bool_) if dependent is None else dependent
    _, groups = connected_components(pairs, directed=False)
    sizes = np.bincount(groups)
    if len(sizes) < n_folds or sizes.max() > _LARGEST_GROUP * n_clips:
        return np.arange(n_clips) * n_folds // n_clips
    fold_sizes, fold_of_group = np.zeros(n_folds, np.int64), np.empty(len(sizes), np.int64)
    for group, size in enumerate(sizes):
        fold_of_group[group] = fold_sizes.argmin()
        fold_sizes[fold_of_group[group]] += size
    folds: NDArray[np.int64] = fold_of_group[groups]
    return folds


def _total(sums: Iterable[_WindowSums]) -> _WindowSums:
    return reduce(_WindowSums.plus, sums)


def median_differences(log_mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Difference of each frame from the median of the clip, dB, shape ``(mel, frame)``."""
    n_frames = log_mel.shape[1]
    ordered = np.sort(log_mel, axis=1)  # faster than the search of a median
    median = (ordered[:, [(n_frames - 1) // 2]] + ordered[:, [n_frames // 2]]) / np.float32(2.0)
    return log_mel - median


def _moving_means(values: Values, durations: Sequence[int]) -> list[Values]:
    """Mean over windows of each duration, at most all frames, each of shape ``(mel, window)``.

    Durations are 1, 2, 4 ... frames: each window is the mean of two of half its duration.
    """
    found = [values]
    for duration in durations[1:]:
        half, step = duration // 2, window_step(duration)
        before, apart = found[-1], window_step(half)
        if values.shape[1] < duration:
            found.append(values.mean(axis=1, keepdims=True))
            continue
        n_windows, every, later = 1 + (values.shape[1] - duration) // step, step // apart, half // apart
        first = before[:, : every * n_windows : every][:, :n_windows]
        second = before[:, later : later + every * n_windows : every][:, :n_windows]
        found.append((first + second) / values.dtype.type(2.0))
    return found
