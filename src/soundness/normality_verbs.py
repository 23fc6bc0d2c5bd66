"""What one does when a machine's normal sounds change: commands of the command line, one for one."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.alarm_verbs import one_detector, writable

if TYPE_CHECKING:  # each verb loads what it needs, and no more
    from soundness.monitoring.drift_report import DriftReport
    from soundness.monitoring.enrolment import Enrolment

__all__ = ["drift", "enroll"]

PathLike = Path | str


def enroll(
    detector: PathLike,
    clips: Iterable[PathLike],
    out: PathLike,
    *,
    condition: str,
    domain: str | None = None,
    force: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> "Enrolment":
    """Let normal clips of a new condition join a detector; see `soundness.monitoring.enrolment.enrol`.

    Parameters
    ----------
    detector
        A detector's file, or the folder of a run with one machine.
    clips
        Normal recordings, or folders of them.
    out
        File of the new detector.
    condition
        What is new about the clips, in a word.
    domain
        Where they join, such as ``target``; ``None`` for a domain of their own, called as the condition.
    force
        Enrol clips that are highly anomalous all the same.
    overwrite
        Replace a file that is there.
    progress
        Is told how many recordings are done, and of how many.

    Raises
    ------
    SoundnessError
        If the detector, a clip or the file does not do.
    """
    out = writable(out, overwrite=overwrite)
    found = one_detector(detector)
    from soundness.detectors.saving import save_detector
    from soundness.monitoring.enrolment import enrol

    enrolment = enrol(found, clips, condition=condition, domain=domain, is_forced=force, progress=progress)
    save_detector(enrolment.detector, out)
    return enrolment


def drift(
    detector: PathLike,
    clips: Iterable[PathLike],
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> "DriftReport":
    """Tell whether normal clips still sound as those of the training; see `soundness.monitoring.drift_report.report_drift`.

    Parameters
    ----------
    detector
        A detector's file, or the folder of a run with one machine.
    clips
        Normal recordings, or folders of them.
    seed
        Of the draws that tell what chance makes.
    progress
        Is told how many recordings are done, and of how many.

    Raises
    ------
    SoundnessError
        If the detector or a clip does not do.
    """
    found = one_detector(detector)
    from soundness.monitoring.drift_report import report_drift

    return report_drift(found, clips, seed=seed, progress=progress)
