"""What one does to be told when a machine fails: commands of the command line, one for one."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.errors import DataError, OutputError, SettingsError
from soundness.verbs import load

if TYPE_CHECKING:  # each verb loads what it needs, and no more
    from soundness.detectors.detector import Detector
    from soundness.monitoring.alarm_proposals import AlarmProposal
    from soundness.monitoring.event_log import LogRow
    from soundness.monitoring.folder_watch import WatchCounts

__all__ = ["alarms", "calibrate", "one_detector", "watch", "writable"]

PathLike = Path | str


def calibrate(
    detector: PathLike,
    clips: Iterable[PathLike],
    out: PathLike,
    *,
    domain: str | None = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> "Detector":
    """Calibrate a detector by fresh normal clips; see `soundness.monitoring.recalibration.recalibrate`.

    Parameters
    ----------
    detector
        A detector's file, or the folder of a run with one machine.
    clips
        Normal recordings that it was not trained on, or folders of them.
    out
        File of the calibrated detector.
    domain
        The domain of all clips; ``None`` takes it from their names.
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
    from soundness.monitoring.recalibration import recalibrate

    calibrated = recalibrate(found, clips, domain=domain, progress=progress)
    save_detector(calibrated, out)
    return calibrated


def alarms(
    detector: PathLike,
    *,
    false_alarms: str,
    clip_every: str,
    recordings: Sequence[PathLike] = (),
    longest: int = 10,
    out: PathLike | None = None,
    overwrite: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> "AlarmProposal":
    """Propose an alarm rule; see `soundness.monitoring.alarm_proposals.propose_alarms`.

    Parameters
    ----------
    detector
        A detector's file, or the folder of a run with one machine.
    false_alarms
        How many are to be expected, such as ``1/day``.
    clip_every
        Time from one clip to the next, such as ``10s``.
    recordings
        Normal recordings in the order of time that the rule is checked with.
    longest
        Longest window of a rule, in clips.
    out
        File of the detector with the rule; ``None`` to write none.
    overwrite
        Replace a file that is there.
    seed
        Of the bootstrap over blocks of the recordings.
    progress
        Is told how many recordings are done, and of how many.

    Raises
    ------
    SettingsError
        If nothing of the kind can be promised; the message says what can.
    SoundnessError
        If the detector, a recording or the file does not do.
    """
    from soundness.monitoring.alarm_rates import parse_rate, parse_seconds

    per_second, seconds = parse_rate(false_alarms), parse_seconds(clip_every)
    target = None if out is None else writable(out, overwrite=overwrite)
    found = one_detector(detector)
    import numpy as np

    from soundness.detectors.saving import save_detector
    from soundness.monitoring.alarm_proposals import p_values_of, propose_alarms

    heard = p_values_of(found, recordings, clip_every_seconds=seconds, progress=progress) if recordings else []
    proposal = propose_alarms(
        found,
        per_second=per_second,
        clip_every_seconds=seconds,
        longest=longest,
        p_values=heard,
        rng=np.random.default_rng(seed),
    )
    if target is not None:
        save_detector(found.with_alarm_rule(proposal.rule), target)
    return proposal


def watch(
    folder: PathLike,
    *,
    detector: PathLike,
    log: PathLike | None = None,
    webhook: str | None = None,
    once: bool = False,
    poll_seconds: float = 2.0,
    longest_seconds: float = 600.0,
    announce: Callable[[str], None] | None = None,
    on_alarm: "Callable[[LogRow], None] | None" = None,
) -> "WatchCounts":
    """Score recordings as they appear in a folder, until interrupted; see `soundness.monitoring.folder_watch.Watch`.

    Parameters
    ----------
    folder
        Recordings appear in it, or in folders below it.
    detector
        A detector's file or a run's folder, with alarm rules.
    log
        A file that ends in ``.csv`` or ``.sqlite``; ``alarms.csv`` in ``folder`` where it is ``None``.
    webhook
        Address that alarms are posted to.
    once
        Score what is there, and return.
    poll_seconds
        From one look to the next.
    longest_seconds
        What lies behind so much of a recording is not heard.
    announce
        Is told in one line what is wrong.
    on_alarm
        Is told of an alarm when it begins.

    Raises
    ------
    OutputError
        If the log cannot be written; the same call goes on from there.
    SoundnessError
        If the folder, the detector, the log or the webhook does not do.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one that recordings appear in")
    if not (0.0 < poll_seconds < math.inf and 0.0 < longest_seconds < math.inf):
        raise SettingsError(
            f"seconds must be above 0 and finite; got poll {poll_seconds:g}, longest {longest_seconds:g}"
        )
    from soundness.data.download_http import Patience
    from soundness.monitoring.event_log import open_log
    from soundness.monitoring.folder_watch import Courier, Watch
    from soundness.monitoring.webhook import check_url

    tell = announce if announce is not None else (lambda _: None)
    detectors = load(detector)
    for found in detectors.values():
        _check_watching(found, longest_seconds=longest_seconds, needs_rule=webhook is not None, tell=tell)
    if webhook is not None:
        check_url(webhook)
    opened = open_log(folder / "alarms.csv" if log is None else Path(log))
    patience = Patience(n_tries=3)
    courier = None if webhook is None else Courier(webhook, opened, patience=patience, announce=tell)
    on_alarm = on_alarm if on_alarm is not None else (lambda _: None)
    watching = Watch(folder, detectors, opened, longest_seconds, tell, on_alarm, courier)
    try:
        watching.look()
        while True:
            time.sleep(poll_seconds)
            watching.look()
            if once:
                break
        if courier is not None:
            courier.insist()
            watching.counts.n_unsent = len(opened.unsent())
    except KeyboardInterrupt:
        tell("stopped; the same command goes on from here")
    finally:
        opened.close()
    return watching.counts


def _check_watching(
    detector: "Detector", *, longest_seconds: float, needs_rule: bool, tell: Callable[[str], None]
) -> None:
    shortest = detector.settings.log_mel.n_fft / detector.settings.audio.sample_rate
    if longest_seconds < shortest:
        raise SettingsError(
            f"longest: {longest_seconds:g} s of a recording; the detector of {detector.machine_type} needs at least "
            f"{shortest:g} s"
        )
    if detector.alarm_rule is None:
        if needs_rule:
            detector.required_rule()
        tell(f"the detector of {detector.machine_type} has no alarm rule: scores are logged, and no alarm is raised")


def one_detector(detector: PathLike) -> "Detector":
    """The detector of a file, or of the folder of a run with one machine."""
    detectors = load(detector)
    if len(detectors) > 1:
        raise DataError(f"{detector}: detectors of {', '.join(detectors)}; give the file of one of them")
    return next(iter(detectors.values()))


def writable(out: PathLike, *, overwrite: bool) -> Path:
    """Where a detector is to be written, unless something is there."""
    path = Path(out)
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; the file of a detector is expected")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; --overwrite replaces it")
    return path
