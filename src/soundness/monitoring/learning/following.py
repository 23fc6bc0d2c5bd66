"""Following of one sensor's normal sound: its threshold and its trend, kept in the store with each clip."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from soundness.monitoring.learning.threshold import FollowedNormal
from soundness.monitoring.learning.trend import Trend, TrendStep
from soundness.monitoring.store.times import shown_minute
from soundness.scoring.decisions.alarms import AlarmRule
from soundness.scoring.decisions.calibration import Calibration

if TYPE_CHECKING:
    from soundness.monitoring.configuration.monitor_settings import SensorSettings
    from soundness.monitoring.detector_in_use import DetectorInUse
    from soundness.monitoring.store.records import ClipRow
    from soundness.monitoring.store.store import Store

__all__ = ["Following"]


@dataclass(slots=True, kw_only=True, eq=False)
class Following:
    """Following of one sensor with one detector.

    Parameters
    ----------
    detector_id
        Number of the detector in the store.
    threshold
        Threshold that follows.
    trend
        Trend of the scores.
    moves
        False to leave the threshold where it is, and only watch the trend.
    """

    detector_id: int
    threshold: FollowedNormal
    trend: Trend
    moves: bool = True

    @classmethod
    def of(
        cls,
        calibration: Calibration,
        rule: AlarmRule,
        *,
        detector_id: int,
        learned: Mapping[str, Any],
        kept: Mapping[str, Any],
        moves: bool,
    ) -> "Following":
        """Following that goes on where it was.

        Parameters
        ----------
        calibration, rule
            Calibration and rule of the detector.
        detector_id
            Its number in the store.
        learned
            Details of the detector in the store.
        kept
            Values of `as_details`, of this detector or another; empty without any.
        moves
            False to leave the threshold where it is.
        """
        threshold = FollowedNormal(calibration=calibration, share=rule.p_value, delay=rule.n_clips)
        trend = Trend.against(learned.get("block_levels", ()))
        before = kept.get("detector_id")
        if before == detector_id:
            trend = Trend.resume(kept["trend"])
        if before is not None and before in (detector_id, learned.get("parent"), learned.get("undone")):
            threshold.resume(kept["threshold"])
        return cls(detector_id=detector_id, threshold=threshold, trend=trend, moves=moves)

    @classmethod
    def of_store(
        cls, store: "Store", settings: "SensorSettings", detector: "DetectorInUse", *, detector_id: int
    ) -> "Following | None":
        """Following of a sensor's detector that goes on where the store says; ``None`` if it is not calibrated."""
        calibration, sensor = detector.detector.calibration, store.sensor(settings.name)
        if calibration is None or sensor is None:
            return None
        row = next((row for row in store.detectors(sensor.id) if row.id == detector_id), None)
        return cls.of(
            calibration,
            detector.rule,
            detector_id=detector_id,
            learned={} if row is None else row.details,
            kept=sensor.details.get("following", {}),
            moves=settings.follows_drift,
        )

    def p_value(self, score: float) -> float:
        """P-value of a clip beside normal sound of now."""
        return self.threshold.p_value(score) if self.moves else self.threshold.calibration.p_value(score)

    @property
    def score_threshold(self) -> float | None:
        """Score above which, and only above which, a clip of now counts as anomalous; ``None`` where none can."""
        calibration, share = self.threshold.calibration, self.threshold.share
        found = self.threshold.score_threshold if self.moves else calibration.threshold(share)
        return found if math.isfinite(found) else None

    def can_follow(self, score: float, p_value: float | None) -> bool:
        """True if a p-value is that of the calibration of whole clips: others are not followed."""
        return p_value is not None and abs(self.threshold.calibration.p_value(score) - p_value) < 1e-9

    def add(self, score: float, *, time_us: int, is_frozen: bool) -> TrendStep:
        """Learn from a clip; see `FollowedNormal.add` and `Trend.add`."""
        if self.moves:
            self.threshold.add(score, is_frozen=is_frozen)
        return self.trend.add(None if is_frozen else self.threshold.scale.level(score), time_us=time_us)

    def add_clip(self, clip: "ClipRow", *, is_frozen: bool) -> TrendStep:
        """Learn from a scored clip; see `add`."""
        assert clip.score is not None
        return self.add(clip.score, time_us=clip.start_us, is_frozen=is_frozen)

    def as_details(self) -> dict[str, Any]:
        """Plain values to go on with, and to show."""
        return {
            "detector_id": self.detector_id,
            "threshold": self.threshold.as_details(),
            "trend": self.trend.as_details(),
            "shift": round(self.threshold.middle + self.threshold.tail, 3),
            "is_at_bound": self.threshold.is_at_bound,
            "level": round(self.trend.recent, 3),
            "drifting_since_us": self.trend.since_us if self.trend.is_on else None,
        }

    def drift_words(self) -> str:
        """Description of the trend."""
        return (
            f"drifting since {shown_minute(self.trend.since_us)}: on average over the last day its clips score "
            f"{self.trend.recent:.1f} deviations above the learning period, though few of them are anomalous alone"
        )

    def accept(self) -> str:
        """Take the level of the last day as the normal one; the change in words."""
        level = self.trend.recent
        if self.trend.accept() is None:
            return "too little was scored to know the level of today: nothing has changed"
        return f"the level of the last day, {level:+.1f} deviations, is the normal one from now on"
