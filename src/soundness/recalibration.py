"""A detector that was trained before, calibrated by fresh normal clips."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from soundness.calibration import Calibration, Origin
from soundness.clips import Clip, parse_name
from soundness.datasets import list_clips
from soundness.detector import Detector
from soundness.errors import AudioError, DataError
from soundness.screening import scored

__all__ = ["recalibrate"]

_FEWEST_CLIPS = 2


def recalibrate(
    detector: Detector,
    paths: Iterable[Path | str],
    *,
    domain: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Detector:
    """The same detector with p-values and threshold by fresh normal clips, and with no alarm rule.

    Parameters
    ----------
    detector
        Of any system.
    paths
        Normal recordings that it was not trained on, folders of them, or data sets, of which the test clips are taken.
    domain
        The domain of all of them, whose calibration they replace; ``None`` takes each clip's from its name, and
        replaces the calibration of all domains.
    progress
        Is told how many recordings are done, and of how many.

    Raises
    ------
    DataError
        If there are fewer than two clips of a domain, or one is labelled anomalous.
    AudioError
        If one cannot be used.
    """
    clips = list_clips(paths)
    _check(clips, domain)
    scores: dict[str, list[float]] = {}
    for done, result in enumerate(scored([(clip, detector) for clip in clips]), start=1):
        if result.score is None:
            raise AudioError(f"{result.clip.path}: {'; '.join(result.remarks)}")
        name = (result.clip.domain or "") if domain is None else domain
        scores.setdefault(name, []).append(result.score.anomaly_score)
        if progress is not None:
            progress(done, len(clips))
    fresh = {name: np.array(values) for name, values in scores.items()}
    before = detector.calibration
    kept = {} if before is None or domain is None else {k: v for k, v in before.scores.items() if k != domain}
    origin: Origin = "fresh" if before is None or not kept else before.origin
    calibration = Calibration.from_scores({**kept, **fresh}, origin=origin)
    known = [clip.path.name for clip in clips if _is_for_training(clip)]
    if known:
        called = f"{len(known)} clip(s) are called training clips ({known[0]})"
        note = f"{called}: if the detector was fitted on them, p-values are too small"
        calibration = replace(calibration, notes=(*calibration.notes, note))
    return detector.calibrated(calibration)


def _is_for_training(clip: Clip) -> bool:
    name = parse_name(clip.path.stem)
    return clip.split == "train" or (name is not None and name.split == "train")


def _check(clips: Iterable[Clip], domain: str | None) -> None:
    counts: dict[str, int] = {}
    for clip in clips:
        if clip.label == "anomaly":
            raise DataError(f"{clip.path}: labelled anomalous; a detector is calibrated by normal clips alone")
        name = (clip.domain or "") if domain is None else domain
        counts[name] = counts.get(name, 0) + 1
    if not counts:
        raise DataError("nothing to calibrate by; expected normal recordings")
    for name, count in counts.items():
        if count < _FEWEST_CLIPS:
            raise DataError(
                f"{count} {name or 'normal'} clip to calibrate by; at least {_FEWEST_CLIPS} are needed, and a "
                f"false-alarm rate of 1/100 needs 99"
            )
