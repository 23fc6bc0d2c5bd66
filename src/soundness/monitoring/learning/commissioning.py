"""Commissioning of a sensor that has no detector: it records, sets aside what does not belong, trains, and begins."""

import logging
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from soundness.errors import OutputError
from soundness.monitoring.capture.clip_files import ClipFile
from soundness.monitoring.configuration.learning_plan import LearningPlan
from soundness.monitoring.configuration.monitor_settings import SensorSettings
from soundness.monitoring.learning.recordings import LearningFolder
from soundness.monitoring.learning.stages import STAGES, LearningJob, Stage
from soundness.monitoring.store.times import shown_minute, utc_us
from soundness.plain_text import counted
from soundness.scoring.decisions.alarms import duration
from soundness.settings.durations import parse_seconds

if TYPE_CHECKING:  # which imports this module
    from soundness.monitoring.live.recorder import Recorder

__all__ = ["Commissioning", "finish_left", "learning_job", "plan_of"]

_LOG = logging.getLogger(__name__)

_NOTES_PER_PERIOD, _NOTE_SECONDS = 100, 10.0  # of the state, while it records: as many at least, and as often
_SECONDS_A_CLIP: dict[Stage, float] = {"screening": 0.04, "training": 0.1, "calibrating": 0.06}
_COUNTS: dict[Stage, str] = {"screening": "n_clips", "training": "n_trained", "calibrating": "n_calibrated"}
_WORDS: dict[Stage, str] = {
    "screening": "looks for clips that do not belong among {n_clips:,}",
    "training": "trains on {n_trained:,} clips",
    "calibrating": "calibrates by {n_calibrated:,} clips that were held back",
}


def plan_of(settings: SensorSettings) -> LearningPlan:
    """Plan of a sensor's learning period."""
    return LearningPlan(seconds=parse_seconds(settings.learn), hop_seconds=settings.hop)


def learning_job(settings: SensorSettings, folder: LearningFolder, *, stage: Stage, out: Path) -> LearningJob:
    """A stage of a sensor's learning, whose last one writes the detector to a file."""
    return LearningJob(
        stage=stage,
        folder=folder.path,
        name=settings.name,
        clip_seconds=settings.clip_seconds,
        set_aside=settings.set_aside,
        request=settings.alarm_request,
        out=out,
    )


class Commissioning:
    """Learning of one sensor, which goes on after a restart where it was.

    Parameters
    ----------
    recorder
        Recorder of the sensor.
    """

    def __init__(self, recorder: "Recorder") -> None:
        self.recorder = recorder
        sensor, store = recorder.sensor, recorder.store
        self.settings = sensor.settings
        self.plan = plan_of(self.settings)
        self._said = -math.inf
        self.folder = LearningFolder(store.folder / "learning" / f"{sensor.sensor_id}")
        found = store.sensor(self.settings.name)
        self.details: dict[str, Any] = dict(found.details.get("learning", {})) if found is not None else {}
        if self.details.get("stage") not in ("recording", *STAGES):
            self.begin()
        self._n_clips = store.count_learned(sensor.sensor_id, after=int(self.details["after_number"]))
        if self.is_recording and self._n_clips >= self.plan.n_clips:  # it ended before that was noted
            self._set(stage="screening", n_clips=self._n_clips)

    @property
    def stage(self) -> Literal["recording", "screening", "training", "calibrating"]:
        """Stage that it is at."""
        found: Literal["recording", "screening", "training", "calibrating"] = self.details["stage"]
        return found

    @property
    def is_recording(self) -> bool:
        """True until enough has been recorded."""
        return self.stage == "recording"

    @property
    def is_awaited(self) -> bool:
        """True while clips wait for the detector that is made, as those of a source that can wait do."""
        return not self.is_recording and not self.recorder.sensor.is_live

    def begin(self, *, problem: str = "") -> None:
        """Begin to record, for the first time or anew.

        Parameters
        ----------
        problem
            Reason why what was recorded before cannot be learned from; empty for the first time.
        """
        self.folder.clear()
        recorder = self.recorder
        last = recorder.writer.reading(lambda: recorder.store.last_clip(recorder.sensor.sensor_id))
        after = 0 if last is None else last.number
        self._n_clips = 0
        for alarm in tuple(self.recorder.book.open.values()):
            if alarm.kind != "fault":  # of a detector that is no more
                self.recorder.end_alarm(alarm)
        self._set(stage="recording", after_number=after, problem=problem, began_us=utc_us())

    def take(self, clip: ClipFile, *, why_not: str = "") -> str:
        """Take a clip of the period; the note of its row, which is empty where it counts.

        Parameters
        ----------
        clip
            The clip.
        why_not
            Reason why it is not to be learned from, such as maintenance; empty without one.
        """
        if why_not:
            return f"{why_not}: not learned from"
        if not self.is_recording:
            return "came while a detector is made of the clips before"
        try:
            if not self.recorder.audio.has_room():
                return "too little free space: not learned from"
            self.folder.keep(clip.path, index=self._n_clips, start_us=clip.start_us, plan=self.plan)
        except OutputError as error:
            return f"not learned from: {error}"
        return ""

    def count(self) -> bool:
        """Count a clip whose row is written; true if it was the last one of the period."""
        self._n_clips += 1
        every = max(1, self.plan.n_clips // _NOTES_PER_PERIOD)
        if self._n_clips >= self.plan.n_clips:
            self._set(stage="screening", n_clips=self._n_clips)
            return True
        if self._n_clips % every == 0 or time.monotonic() - self._said >= _NOTE_SECONDS:
            self.say()
        return False

    def say(self) -> None:
        """Show what it does, and how long it will take."""
        self._said = time.monotonic()
        self.recorder.set_note(self.words())

    def words(self) -> str:
        """Description of what it does, and how long it will take."""
        problem = f"{self.details['problem']}; begins again: " if self.details.get("problem") else ""
        if not self.is_recording:
            return problem + self._stage_words()
        hop = self.plan.hop_seconds
        done, left = self._n_clips * hop, (self.plan.n_clips - self._n_clips) * hop
        until = shown_minute(utc_us() + round(1e6 * left))
        after = _about(sum(self.expected_seconds(stage) for stage in STAGES))
        return (
            f"{problem}records normal sound: {duration(round(done))} of {duration(round(self.plan.seconds))}, until "
            f"about {until} if no sound is missing; then it learns for about {after}"
        )

    def _stage_words(self) -> str:
        stage = self.stage
        assert stage != "recording"
        what = _WORDS[stage].format(**self._n_of())
        left = sum(self.expected_seconds(each) for each in list(STAGES)[list(STAGES).index(stage) :])
        set_aside = len(self.details.get("set_aside", []))
        aside = f"; {counted(set_aside, 'clip')} set aside" if stage != "screening" else ""
        return f"{what}: about {_about(left)} until it begins{aside}"

    def _n_of(self) -> dict[str, int]:
        uses = [self.plan.use_of(index) for index in range(self.plan.n_clips)]
        n_trained, n_calibrated = uses.count("train"), uses.count("calibrate")
        return {"n_clips": n_trained + n_calibrated, "n_trained": n_trained, "n_calibrated": n_calibrated}

    def expected_seconds(self, stage: Stage) -> float:
        """Time that a stage is expected to take, by the speed of the first one where it is known."""
        own = self.details.get("seconds_a_clip")
        speed = 1.0 if own is None else max(0.1, float(own) / _SECONDS_A_CLIP["screening"])
        n_of = self._n_of()
        count = {"screening": n_of["n_clips"], "training": n_of["n_trained"], "calibrating": n_of["n_calibrated"]}[
            stage
        ]
        return 2.0 + _SECONDS_A_CLIP[stage] * count * speed

    def job(self, out: Path) -> LearningJob:
        """Job of the stage that it is at."""
        stage = self.stage
        assert stage != "recording"
        return learning_job(self.settings, self.folder, stage=stage, out=out)

    def advance(self, found: dict[str, Any]) -> bool:
        """Note the result of a stage, and go to the next one; true if it was the last."""
        stages = list(STAGES)
        place = stages.index(self.job(Path()).stage)
        is_last = place + 1 == len(stages)
        self._set(**found, **({} if is_last else {"stage": stages[place + 1]}))
        return is_last

    def finish(self) -> None:
        """Note that the detector is in use, and remove the recordings."""
        self._set(stage="done", problem="")
        try:
            self.folder.clear(is_all=False)
        except OutputError as error:
            _LOG.warning("%s", error)

    def _set(self, **details: Any) -> None:
        self.details |= details
        self.recorder.set_details(learning=self.details)


def _about(seconds: float) -> str:
    """Time that is known to a second up to two minutes, and to a minute beyond them, in words."""
    return duration(round(seconds) if seconds <= 120 else 60 * round(seconds / 60))


def finish_left(recorder: "Recorder") -> None:
    """Finish a learning whose detector is in use, though a crash came before that was noted."""
    found = recorder.store.sensor(recorder.sensor.settings.name)
    details = {} if found is None else dict(found.details.get("learning", {}))
    if details.get("stage") not in STAGES:
        return
    recorder.set_details(learning={**details, "stage": "done"})
    LearningFolder(recorder.store.folder / "learning" / f"{recorder.sensor.sensor_id}").clear(is_all=False)
