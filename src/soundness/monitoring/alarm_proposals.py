"""An alarm rule for a detector: what its calibration supports, and what a normal recording says of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.aliases import CountProgress, PathLike
from soundness.detectors.saving import one_detector, writable
from soundness.errors import DataError, SettingsError, audio_errors_at

if TYPE_CHECKING:  # each verb loads what it needs, and no more
    from soundness.detectors.detector import Detector
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from soundness.audio.reading import read_info, read_pieces
from soundness.data.datasets import list_clips
from soundness.detectors.detector import Detector
from soundness.detectors.reader import read_recording
from soundness.monitoring.alarm_rates import SECONDS_PER_DAY, rate_per_day
from soundness.monitoring.alarm_rules import Replay, candidate_rules, replay
from soundness.scoring.alarms import AlarmRule
from soundness.scoring.calibration import Calibration
from soundness.threads import one_thread_each

__all__ = ["AlarmProposal", "alarms", "p_values_of", "propose_alarms"]

_LONG = 1.5  # times the time from clip to clip: a longer recording is cut into clips
_CLUSTERED = 2.0


@dataclass(frozen=True, slots=True)
class AlarmProposal:
    """A rule, and what it can be trusted with.

    Parameters
    ----------
    machine_type
        Whose detector it is for.
    rule
        What is proposed.
    replay
        What it does on a normal recording; ``None`` where none was given.
    notes
        What a person should know of it.
    """

    machine_type: str
    rule: AlarmRule
    replay: Replay | None
    notes: tuple[str, ...]


def propose_alarms(
    detector: Detector,
    *,
    per_second: float,
    clip_every_seconds: float,
    longest: int,
    p_values: Sequence[float] = (),
    rng: np.random.Generator,
) -> AlarmProposal:
    """The best rule that keeps to a rate of false alarms by its 95 % bound and, where there is one, on a recording.

    Parameters
    ----------
    detector
        Calibrated by clips that its network has not heard.
    per_second
        False alarms a second.
    clip_every_seconds
        From the beginning of one clip to that of the next.
    longest
        Longest window, in clips.
    p_values
        Of a normal recording, in the order of time; empty where there is none.
    rng
        Of the bootstrap on the recording.

    Raises
    ------
    SettingsError
        If there is no such rule; the message says what could be supported.
    """
    calibration = _valid_calibration(detector)
    rules = candidate_rules(calibration, per_second=per_second, clip_every_seconds=clip_every_seconds, longest=longest)
    if not p_values:
        note = (
            "that neighbouring clips are independent has not been checked; --recording with a long normal recording "
            f"does; without it, no more than {rate_per_day(rules[0].dependent_per_day)} is sure, at 95 %"
        )
        return AlarmProposal(detector.machine_type, rules[0], None, (*_notes(calibration, rules[0]), note))
    for rule in rules:
        if len(p_values) >= rule.n_clips:
            found = replay(p_values, rule, rng=rng)
            if found.n_alarms == 0 or found.per_day <= rule.asked_per_day:
                notes = (*_notes(calibration, rule), *_replay_notes(rule, found, rules[0]))
                return AlarmProposal(detector.machine_type, rule, found, notes)
    raise SettingsError(_refuted(p_values, rules, rng))


def p_values_of(
    detector: Detector,
    paths: Sequence[PathLike],
    *,
    clip_every_seconds: float,
    progress: CountProgress | None = None,
) -> list[float]:
    """P-values of normal recordings in the order of time: that of the paths and, in folders, of the names.

    A recording longer than one and a half clips is cut into clips.

    Raises
    ------
    DataError
        If there is no recording, or one of them is labelled anomalous.
    AudioError
        If one cannot be used.
    """
    calibration, p_values = _valid_calibration(detector), []
    clips = list_clips(paths)
    if not clips:
        raise DataError("nothing to replay; expected normal recordings")
    with one_thread_each():
        for done, clip in enumerate(clips, start=1):
            if clip.label == "anomaly":
                raise DataError(f"{clip.path}: labelled anomalous; false alarms are counted on normal recordings")
            with audio_errors_at(clip.path):
                scores = [detector.score(each) for each in _waveforms(clip.path, detector, clip_every_seconds)]
            p_values += [calibration.p_value(score) for score in scores]
            if progress is not None:
                progress(done, len(clips))
    return p_values


def _waveforms(path: Path, detector: Detector, seconds: float) -> Iterator[np.ndarray]:
    settings = detector.settings
    n_samples = round(seconds * settings.audio.sample_rate)
    if n_samples < settings.log_mel.n_fft:
        raise SettingsError(f"a clip every {seconds:g} s: shorter than one frame of {settings.log_mel.n_fft} samples")
    if read_info(path).seconds < _LONG * seconds:
        yield read_recording(path, settings)
        return
    rate, fmax = settings.audio.sample_rate, settings.log_mel.fmax
    yield from read_pieces(path, sample_rate=rate, fmax=fmax, n_samples=n_samples)


def _valid_calibration(detector: Detector) -> Calibration:
    """The calibration, where it promises anything."""
    found = detector.calibration
    advice = "soundness calibrate DETECTOR CLIPS --out FILE with fresh normal clips makes one that does"
    if found is None:
        raise SettingsError(f"the detector of {detector.machine_type} is not calibrated; {advice}")
    if not found.is_valid:
        raise SettingsError(
            f"the detector of {detector.machine_type} is calibrated by clips that its network has heard, which "
            f"supports no promise; {advice}, or training with --set calibration=held-out"
        )
    return found


def _notes(calibration: Calibration, rule: AlarmRule) -> list[str]:
    notes = list(calibration.notes)
    if rule.n_anomalous > 1:
        single = rate_per_day(calibration.smallest * SECONDS_PER_DAY / rule.clip_every_seconds)
        notes.append(
            f"single clips would raise {single} at the least; {rule.n_anomalous} anomalous ones of {rule.n_clips} "
            f"raise fewer alarms only as far as neighbouring clips are independent"
        )
    return notes


def _replay_notes(rule: AlarmRule, found: Replay, best: AlarmRule) -> list[str]:
    notes = []
    if best.n_clips > found.n_clips:
        notes.append(f"{best} would be better, but the recording of {found.n_clips} clip(s) is too short to check it")
    elif rule != best:
        notes.append(f"{best} would have kept to the rate if clips were independent; on the recording it did not")
    if found.upper_per_day > rule.asked_per_day:
        notes.append(
            f"{found.n_clips} clips in a row support no rate below {rate_per_day(found.upper_per_day)}: below it, the "
            f"promise rests on the independence of neighbouring clips"
        )
    if found.clustering is not None and found.clustering > _CLUSTERED:
        notes.append(f"odd clips come together: {found.clustering:.1f} times as often as if they were independent")
    return notes


def _refuted(p_values: Sequence[float], rules: Sequence[AlarmRule], rng: np.random.Generator) -> str:
    asked = rate_per_day(rules[0].asked_per_day)
    tried = [(replay(p_values, rule, rng=rng), rule) for rule in rules if len(p_values) >= rule.n_clips]
    if not tried:
        return f"the recording has {len(p_values)} clip(s); the rules for {asked} look at {rules[0].n_clips} or more"
    found, rule = min(tried, key=lambda pair: pair[0].n_alarms)
    return (
        f"{asked} cannot be kept on the recording, whose odd clips come together or which is not normal: the best "
        f"rule, {rule}, raises {found.n_alarms} alarm(s) in {found.n_clips} clips, {rate_per_day(found.per_day)}"
    )


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
    progress: CountProgress | None = None,
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
        save_detector(replace(found, alarm_rule=proposal.rule), target)
    return proposal
