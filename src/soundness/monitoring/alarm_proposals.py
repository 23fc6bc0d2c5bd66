"""Alarm rule for a detector, within what its calibration and a normal recording support."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np

from soundness.aliases import CountProgress, PathLike, Waveform
from soundness.audio.reading import read_info, read_pieces
from soundness.data.clips import Clip
from soundness.data.datasets import Paths, list_clips
from soundness.data.finding import order_note
from soundness.detectors.detector import Detector
from soundness.detectors.reader import read_recording
from soundness.detectors.saving import new_detector_file, one_detector
from soundness.errors import DataError, SettingsError, audio_errors_at
from soundness.monitoring.alarm_rules import AlarmRequest, Replay, candidate_rules, replay, score_correlations
from soundness.scoring.decisions.alarms import AlarmRule, rate_per_day
from soundness.scoring.decisions.calibration import Calibration
from soundness.settings.durations import SECONDS_PER_DAY
from soundness.threads import map_recordings

__all__ = ["AlarmProposal", "alarms", "p_values_of", "propose_alarms", "with_correlations"]

_LOG = logging.getLogger(__name__)

_LONG = 1.5  # times the time from clip to clip: a longer recording is cut into clips
_CLUSTERED = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmProposal:
    """A rule, and the evidence for it.

    Parameters
    ----------
    machine_type
        Machine type of the detector.
    rule
        Proposed rule.
    replay
        Alarms of the rule on a normal recording; ``None`` without one.
    notes
        Notes for the user on what the rule can be trusted with.
    """

    machine_type: str
    rule: AlarmRule
    replay: Replay | None
    notes: tuple[str, ...]


def alarms(
    detector: PathLike | Detector,
    request: AlarmRequest,
    *,
    recordings: Paths = (),
    out: PathLike | None = None,
    overwrite: bool = False,
    seed: int = 0,
    progress: CountProgress | None = None,
) -> AlarmProposal:
    """Propose an alarm rule; see `propose_alarms`.

    Parameters
    ----------
    detector
        A detector, its file, or the folder of a run with one machine.
    request
        Rate of false alarms that is asked for.
    recordings
        Normal recordings, in the order of time, that the rule is checked with.
    out
        File of the detector with the rule; ``None`` to write none.
    overwrite
        Replace a file that is there.
    seed
        Seed of the bootstrap over blocks of the recordings.
    progress
        Called with the number of recordings done and the total.

    Raises
    ------
    SettingsError
        If nothing of the kind can be promised; the message says what can.
    SoundnessError
        If the detector, a recording or the file cannot be used.
    """
    with new_detector_file(out, overwrite=overwrite) as save:
        found = one_detector(detector)
        seconds = request.seconds
        p_values = p_values_of(found, recordings, clip_every_seconds=seconds, progress=progress) if recordings else []
        proposal = propose_alarms(found, request, p_values=p_values, rng=np.random.default_rng(seed))
        save(replace(found, alarm_rule=proposal.rule))
        return proposal


def propose_alarms(
    detector: Detector, request: AlarmRequest, *, p_values: Sequence[float] = (), rng: np.random.Generator
) -> AlarmProposal:
    """Best rule that keeps to a rate of false alarms by its 95 % bound and, where there is one, on a recording.

    Parameters
    ----------
    detector
        Detector that is calibrated by clips that its network was not trained on.
    request
        Rate of false alarms that is asked for.
    p_values
        P-values of a normal recording, in the order of time, whose correlation the bounds count with; empty for none.
    rng
        Random numbers of the bootstrap on the recording.

    Raises
    ------
    SettingsError
        If there is no such rule; the message says what could be supported.
    """
    calibration = _valid_calibration(detector)
    rules = candidate_rules(calibration, with_correlations(request, p_values))
    machine_type = detector.machine_type
    if not p_values:
        note = (
            "that neighbouring clips are independent has not been checked; --recording with a long normal recording "
            f"does; without it, no more than {rate_per_day(rules[0].dependent_per_day)} is sure, at 95 %"
        )
        notes = (*_notes(calibration, rules[0]), note)
        return AlarmProposal(machine_type=machine_type, rule=rules[0], replay=None, notes=notes)
    for rule in rules:
        if len(p_values) >= rule.n_clips:
            found = replay(p_values, rule, rng=rng)
            if found.n_alarms == 0 or found.per_day <= rule.asked_per_day:
                notes = (*_notes(calibration, rule), *_replay_notes(rule, found, rules[0]))
                return AlarmProposal(machine_type=machine_type, rule=rule, replay=found, notes=notes)
    raise SettingsError(_refuted(p_values, rules, rng))


def p_values_of(
    detector: Detector,
    paths: Paths,
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
    calibration, clips = _valid_calibration(detector), list_clips(paths)
    if not clips:
        raise DataError("nothing to replay; expected normal recordings")

    if (note := order_note([clip.path for clip in clips])) is not None:
        _LOG.warning("recordings are %s", note)

    def p_values(clip: Clip) -> list[float]:
        if clip.label == "anomaly":
            raise DataError("labelled anomalous; false alarms are counted on normal recordings", path=clip.path)
        with audio_errors_at(clip.path):
            waveforms = _waveforms(clip.path, detector, clip_every_seconds)
            return [_p_value(detector, calibration, clip, waveform) for waveform in waveforms]

    found: list[float] = []
    for done, values in enumerate(map_recordings(p_values, clips), start=1):
        found += values
        if progress is not None:
            progress(done, len(clips))
    return found


def _p_value(detector: Detector, calibration: Calibration, clip: Clip, waveform: Waveform) -> float:
    """P-value of a clip, which must be new to the detector: one that it was trained on raises no alarm."""
    spectrograms = detector.spectrograms(waveform)
    known = detector.known_recording(spectrograms)
    if known is not None:
        raise DataError(
            f"the same recording as {known}, which the detector was trained on; false alarms are counted on recordings "
            f"that are new to it",
            path=clip.path,
        )
    return calibration.p_value(detector.score_spectrograms(spectrograms))


def _waveforms(path: Path, detector: Detector, seconds: float) -> Iterator[Waveform]:
    settings = detector.settings
    n_samples = round(seconds * settings.audio.sample_rate)
    if n_samples < settings.log_mel.n_fft:
        raise SettingsError(f"a clip every {seconds:g} s: shorter than one frame of {settings.log_mel.n_fft} samples")
    if read_info(path, audio=settings.audio).seconds < _LONG * seconds:
        yield read_recording(path, settings)
        return
    rate, fmax = settings.audio.sample_rate, settings.log_mel.fmax
    yield from read_pieces(path, sample_rate=rate, fmax=fmax, n_samples=n_samples, audio=settings.audio)


def _valid_calibration(detector: Detector) -> Calibration:
    """Calibration of a detector, where it promises anything."""
    found = detector.calibration
    advice = "soundness calibrate DETECTOR CLIPS --out FILE with fresh normal clips makes one that does"
    if found is None:
        raise SettingsError(f"the detector of {detector.machine_type} is not calibrated; {advice}")
    if not found.is_valid:
        raise SettingsError(
            f"the detector of {detector.machine_type} is calibrated by clips that its network was trained on, which "
            f"supports no promise; {advice}, or training with --set calibration=held-out"
        )
    return found


def with_correlations(request: AlarmRequest, p_values: Sequence[float]) -> AlarmRequest:
    """Request with the correlations that a recording shows, where they are more than those that are known before."""
    pairs = zip_longest(request.correlations, score_correlations(p_values, request.longest), fillvalue=0.0)
    return replace(request, correlations=tuple(map(max, pairs)))


def _notes(calibration: Calibration, rule: AlarmRule) -> list[str]:
    notes = list(calibration.notes)
    if rule.n_anomalous > 1:
        single = rate_per_day(calibration.smallest * SECONDS_PER_DAY / rule.clip_every_seconds)
        notes.append(
            f"single clips would raise {single} at the least; {rule.n_anomalous} anomalous ones of {rule.n_clips} "
            f"raise fewer alarms only as far as neighbouring clips {_dependence(rule)}"
        )
    return notes


def _dependence(rule: AlarmRule) -> str:
    nearest = rule.correlations[0] if rule.correlations else 0.0
    return (
        f"depend on each other as in the recording (a correlation of {nearest:.2f})" if nearest else "are independent"
    )


def _replay_notes(rule: AlarmRule, found: Replay, best: AlarmRule) -> list[str]:
    notes = []
    if best.n_clips > found.n_clips:
        notes.append(f"{best} would be better, but the recording of {found.n_clips} clip(s) is too short to check it")
    elif rule != best:
        notes.append(f"{best} would have kept to the rate by its bound; on the recording it did not")
    if found.upper_per_day > rule.asked_per_day:
        notes.append(
            f"{found.n_clips} clips in a row support no rate below {rate_per_day(found.upper_per_day)}: below it, the "
            f"promise rests on it that neighbouring clips {_dependence(rule)}"
        )
    if found.clustering is not None and found.clustering > _CLUSTERED:
        notes.append(f"anomalous clips come together {found.clustering:.1f} times as often as if they were independent")
    return notes


def _refuted(p_values: Sequence[float], rules: Sequence[AlarmRule], rng: np.random.Generator) -> str:
    asked = rate_per_day(rules[0].asked_per_day)
    tried = [(replay(p_values, rule, rng=rng), rule) for rule in rules if len(p_values) >= rule.n_clips]
    if not tried:
        return f"the recording has {len(p_values)} clip(s); the rules for {asked} need {rules[0].n_clips} or more"
    found, rule = min(tried, key=lambda pair: pair[0].n_alarms)
    return (
        f"{asked} cannot be kept on the recording, whose anomalous clips come together or which is not normal: the "
        f"best rule, {rule}, raises {found.n_alarms} alarm(s) in {found.n_clips} clips, {rate_per_day(found.per_day)}"
    )
