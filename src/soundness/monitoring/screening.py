"""Screening of new normal clips: those that are unlike the other new ones, and anomalous to the detector."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundness.detectors.detector import Detector
from soundness.monitoring.new_clips import NewClip
from soundness.screening.findings import suspects_of
from soundness.screening.records import Screening, ScreeningRecord, are_kept, undecided
from soundness.screening.suspects import find_suspects

__all__ = ["screen_new_clips"]


def screen_new_clips(
    detector: Detector,
    new: Sequence[NewClip],
    domains: Sequence[str],
    *,
    dependent: NDArray[np.bool_],
    screening: Screening,
    keep: Sequence[Path] = (),
) -> tuple[ScreeningRecord, NDArray[np.bool_]]:
    """Screen new clips; a clip is a suspect that the detector calls anomalous, too.

    Parameters
    ----------
    detector
        Detector that scored them.
    new
        New clips that are to be normal.
    domains
        Domain of each.
    dependent
        True where two clips share sound, shape ``(clip, clip)``.
    screening
        Treatment of suspects.
    keep
        Recordings that are normal, whatever is found.

    Returns
    -------
    tuple
        The record, and true for each clip that is set aside, shape ``(clip,)``.

    Raises
    ------
    DataError
        If there are suspects, and ``screening`` asks what to do with them.
    """
    means = np.concatenate([each.statistics.means for each in new]).astype(np.float64)
    floors = np.concatenate([each.statistics.floors for each in new]).astype(np.float64)
    names = sorted(set(domains))
    indices = np.array([names.index(domain) for domain in domains])
    found = find_suspects([means, floors], indices, dependent=dependent)
    is_suspect = found.is_suspect & np.array([detector.decide(each.score) == 1 for each in new])
    is_kept = are_kept([each.clip.path for each in new], keep)
    is_set_aside = is_suspect & ~is_kept & (screening != "keep")
    suspects = suspects_of(
        is_suspect,
        found.p_values,
        is_set_aside,
        names=[each.statistics.names[0] for each in new],
        log_mels=list(means[:, :, None]),
        means=means,
        domains=indices,
        settings=detector.settings,
    )
    record = ScreeningRecord(screening=screening, suspects=suspects)
    if error := undecided([record], kind="new"):
        raise error
    return record, is_set_aside
