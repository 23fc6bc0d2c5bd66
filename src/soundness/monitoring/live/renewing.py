"""A sensor's detector takes in its bank of normal clips now and then, beside the scoring."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.errors import OutputError, ProcessError, SoundnessError
from soundness.monitoring.detector_in_use import DetectorInUse, load_detector_in_use
from soundness.monitoring.learning.enrolling import EnrolJob, enrolled
from soundness.monitoring.learning.learners import run_beside
from soundness.monitoring.store.records import ClipRow, DetectorRow
from soundness.monitoring.upkeep.detector_versions import file_of, inherited, next_file
from soundness.monitoring.upkeep.normal_bank import EVERY_DAYS, FEWEST, BankClip

if TYPE_CHECKING:  # which imports this module
    from soundness.monitoring.live.recorder import Recorder

__all__ = ["bank_clip", "renew"]

_LOG = logging.getLogger(__name__)

_HOUR_US, _DAY_US = 3_600_000_000, 86_400_000_000


def bank_clip(recorder: "Recorder", audio: Path, clip: ClipRow, *, is_muted: bool) -> None:
    """Offer a scored clip to the bank of its sensor, and have the detector take the bank in when it is time."""
    bank, following = recorder.bank, recorder.following
    if bank is None or following is None or not following.moves or clip.score is None:
        return
    if bank.renewed_us is None:
        _set_renewed(recorder, clip.start_us)
    is_quiet = not is_muted and not recorder.book.open and following.trend.rise == 0.0
    try:
        p_value = following.threshold.calibration.p_value(clip.score)
        bank.offer(audio, clip, p_value=p_value, is_quiet=is_quiet)
    except OutputError as error:
        _LOG.warning("%s: not kept for the bank of normal clips: %s", recorder.sensor.settings.name, error)
    if bank.is_due(clip.start_us):
        bank.renewed_us = clip.start_us - EVERY_DAYS * _DAY_US + _HOUR_US  # tried again in an hour, if it fails
        recorder.beside(lambda: renew(recorder, clip.start_us))


def renew(recorder: "Recorder", now_us: int) -> None:
    """Make a new version of a sensor's detector with the confirmed clips of its bank, and take it into use.

    What fails since there is no room, or no store, is tried again in an hour.
    """
    try:
        _renew(recorder, now_us)
    except (OutputError, ProcessError) as error:
        _LOG.warning("%s: normal clips of the last days are taken in later: %s", recorder.sensor.settings.name, error)


def _renew(recorder: "Recorder", now_us: int) -> None:
    bank, store, sensor_id = recorder.bank, recorder.store, recorder.sensor.sensor_id
    rows = {row.id: row for row in store.detectors(sensor_id)}
    with recorder.turn:
        in_use, in_use_id = recorder.detector, recorder.detector_id
    last = rows.get(in_use_id or 0)
    if bank is None or in_use is None or last is None:
        return
    base = rows.get(int(last.details.get("parent", 0))) if last.details.get("bank") else last
    kept = bank.prune(store.alarms_since(sensor_id, now_us - 60 * _DAY_US), now_us=now_us)
    if base is None or len(kept) < FEWEST:
        return
    try:
        found, detector = _made(recorder, base, in_use, kept)
    except (OutputError, ProcessError):
        raise
    except SoundnessError as error:
        _LOG.warning("%s: normal clips of the last days are not taken in: %s", recorder.sensor.settings.name, error)
        _set_renewed(recorder, now_us)
        return
    reason = f"takes in {found['n_clips']} normal clips of the hours of the day"
    details = {**found, "bank": True, "parent": base.id, "base": last.details.get("base", base.fingerprint)}
    with recorder.turn:
        if recorder.detector_id != in_use_id or recorder.book.open:
            return  # an alarm has begun, or somebody has answered one: tried again in an hour
        recorder.install(detector, reason=reason, details={**inherited(base), **details})
    _set_renewed(recorder, now_us)


def _made(
    recorder: "Recorder", base: DetectorRow, in_use: DetectorInUse, clips: list[BankClip]
) -> tuple[dict[str, object], DetectorInUse]:
    settings = recorder.sensor.settings
    out = next_file(recorder.store, recorder.sensor.sensor_id)
    job = EnrolJob(
        detector=file_of(recorder.store, base),
        clips=tuple(clip.path for clip in clips),
        condition="hours of the day",
        request=settings.alarm_request,
        rule=in_use.rule,
        out=out,
        is_sure=False,
    )
    found = run_beside(enrolled, job)
    return found, load_detector_in_use(out, settings)


def _set_renewed(recorder: "Recorder", now_us: int) -> None:
    if recorder.bank is not None:
        recorder.bank.renewed_us = now_us
        recorder.set_details(bank_renewed_us=now_us)
