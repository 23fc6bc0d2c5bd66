"""Screening of new normal clips: those that are unlike the other new ones, and anomalous to the detector."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundness.detectors.detector import Detector
from soundness.monitoring.new_clips import NewClip
from soundness.screening.findings import finding
from soundness.screening.records import ScreeningRecord, Suspect, undecided
from soundness.screening.suspects import find_suspects

__all__ = ["screen_new_clips"]


def screen_new_clips(
    detector: Detector,
    new: Sequence[NewClip],
    domains: Sequence[str],
    *,
    dependent: NDArray[np.bool_],
    keep: Sequence[Path] = (),
) -> tuple[ScreeningRecord, NDArray[np.bool_]]:
    """Screen new clips; a clip is a suspect that the detector calls anomalous, too.

    Parameters
    ----------
    detector
        Detector that scored them; its settings say what becomes of suspects.
    new
        New clips that are to be normal.
    domains
        Domain of each.
    dependent
        True where two clips share sound, shape ``(clip, clip)``.
    keep
        Recordings that are normal, whatever is found.

    Returns
    -------
    tuple
        The record, and true for each clip that is set aside, shape ``(clip,)``.

    Raises
    ------
    DataError
        If there are suspects, and the settings of the detector ask what to do with them.
    """
    means = np.concatenate([each.statistics.means for each in new]).astype(np.float64)
    floors = np.concatenate([each.statistics.floors for each in new]).astype(np.float64)
    names = sorted(set(domains))
    indices = np.array([names.index(domain) for domain in domains])
    found = find_suspects([means, floors], indices, dependent=dependent)
    is_suspect = found.is_suspect & np.array([detector.decide(each.score) == 1 for each in new])
    kept = {path.resolve() for path in keep}
    is_kept = np.array([each.clip.path.resolve() in kept for each in new])
    is_set_aside = is_suspect & ~is_kept & (detector.settings.screening != "keep")
    suspects = tuple(
        Suspect(
            name=new[index].statistics.names[0],
            p_value=float(found.p_values[index]),
            finding=finding(
                means[index][:, None], means[(indices == indices[index]) & ~is_suspect], settings=detector.settings
            ),
            is_set_aside=bool(is_set_aside[index]),
        )
        for index in np.flatnonzero(is_suspect)[np.argsort(found.p_values[is_suspect], kind="stable")]
    )
    record = ScreeningRecord(screening=detector.settings.screening, suspects=suspects)
    if error := undecided([record], kind="new"):
        raise error
    return record, is_set_aside
