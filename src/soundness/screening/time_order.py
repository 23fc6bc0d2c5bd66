"""Order of recordings in time, and a test for normal sound that wanders in it."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from soundness.aliases import Array
from soundness.data.clips import Clip, parse_name
from soundness.data.folder_names import path_key

__all__ = ["OrderSource", "time_order", "wander_p_value"]

OrderSource = Literal["names", "times of the files"]
"""Source of an order in time."""

_DATE = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])"  # 2024-03-01, 20240301
    r"(?:[-_T .]*([01]\d|2[0-3])[-_:.h]?([0-5]\d)(?:[-_:.m]?([0-5]\d(?:[.,]\d+)?))?)?(?!\d)"  # 12:30:00.5
)
_N_COMPONENTS = 8
_N_PERMUTATIONS = 400


def time_order(clips: Sequence[Clip]) -> tuple[NDArray[np.int64], OrderSource] | None:
    """Indices of recordings in the order of time; ``None`` where neither names nor files give one.

    Dates in all names count, then numbers, then the times at which files were changed. The numbers of the challenge's
    names carry no time.
    """
    if any(parse_name(clip.path.stem) is not None for clip in clips):
        return None
    common = Path(os.path.commonpath([clip.path.parent for clip in clips]))
    paths = [clip.path.relative_to(common) for clip in clips]
    starts = [0.0 if clip.part is None else clip.part.start_seconds for clip in clips]
    dates = [_date(path) for path in paths]
    if all(date is not None for date in dates):
        return _sorted([(date, path_key(path), start) for date, path, start in zip(dates, paths, starts, strict=True)])
    if all(re.search(r"\d", str(path.with_suffix(""))) for path in paths):
        return _sorted([(path_key(path), start) for path, start in zip(paths, starts, strict=True)])
    times = [clip.path.stat().st_mtime_ns for clip in clips]
    if len(set(zip(times, starts, strict=True))) < len(clips):
        return None
    return _sorted(list(zip(times, starts, strict=True)))[0], "times of the files"


def wander_p_value(vectors: Array, *, rng: np.random.Generator) -> float:
    """P-value of neighbours in time that are no more alike than any two clips.

    The sum of squared differences between neighbours (von Neumann's) is compared with that of random orders, in the
    directions in which the clips vary most.

    Parameters
    ----------
    vectors
        Clips in the order of time, shape ``(clip, feature)``.
    rng
        Random numbers of the orders.
    """
    centred = vectors - vectors.mean(axis=0)
    deviations = centred.std(axis=0)
    scaled = centred / np.where(deviations > 0.0, deviations, 1.0)
    left, sizes, _ = np.linalg.svd(scaled, full_matrices=False)
    points = left[:, :_N_COMPONENTS][:, sizes[:_N_COMPONENTS] > 1e-9 * sizes[0]]

    def roughness(order: NDArray[np.int64]) -> float:
        return float(np.square(np.diff(points[order], axis=0)).sum())

    indices = np.arange(len(points))
    own = roughness(indices)
    n_smoother = sum(roughness(rng.permutation(indices)) <= own for _ in range(_N_PERMUTATIONS))
    return (1 + n_smoother) / (1 + _N_PERMUTATIONS)


def _date(path: Path) -> tuple[str, ...] | None:
    found = _DATE.search(str(path))
    return None if found is None else tuple(part or "" for part in found.groups())


def _sorted(keys: Sequence[tuple[object, ...]]) -> tuple[NDArray[np.int64], OrderSource]:
    order = sorted(range(len(keys)), key=lambda index: keys[index])
    return np.array(order, np.int64), "names"
