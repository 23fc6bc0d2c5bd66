"""Sensors, and the history of their scores."""

import math
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from soundness.monitoring.detector_in_use import DetectorInUse
from soundness.monitoring.store.history import Recent, recent_clips, score_history
from soundness.monitoring.store.listing import find_sensor
from soundness.monitoring.store.records import Sensor
from soundness.monitoring.store.times import utc_us
from soundness.service.api.answers import LARGEST_ID, Id, tagged
from soundness.service.api.views import sensor_view
from soundness.service.parts import ServiceParts
from soundness.service.problems import Problem, problem_responses

__all__ = ["N_SPARKS", "SPANS", "required_sensor", "sensors_api"]

N_SPARKS = 60
"""P-values of a sparkline."""

SPANS = {"hour": 3_600, "day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400}
"""Lengths of charts in seconds."""

_N_BUCKETS = 600


def required_sensor(parts: ServiceParts, sensor_id: int) -> Sensor:
    """Sensor of an id.

    Raises
    ------
    Problem
        If there is none.
    """
    found = find_sensor(parts.store, sensor_id)
    if found is None:
        raise Problem(404, f"no sensor has the number {sensor_id}", kind="not-found")
    return found


def _score_threshold(detector: DetectorInUse | None) -> float | None:
    """Score above which a clip counts as anomalous; ``None`` where no clip can."""
    calibration = None if detector is None else detector.detector.calibration
    if detector is None or calibration is None:
        return None
    found = calibration.threshold(detector.rule.p_value)
    return found if math.isfinite(found) else None


def _history(parts: ServiceParts, sensor: Sensor, span: str, end_us: int | None) -> dict[str, Any]:
    """History of a sensor for a chart."""
    length_us, last = SPANS[span] * 1_000_000, parts.store.last_clip(sensor.id)
    last_us = None if last is None else last.end_us
    end = max(utc_us(), last_us or 0) if end_us is None else max(end_us, length_us)
    start = end - length_us
    found = score_history(parts.store, sensor.id, start_us=start, end_us=end, n_buckets=_N_BUCKETS)
    detector = parts.detector_of(sensor.name)
    return {
        "start_us": start,
        "end_us": end,
        "last_us": last_us,
        "bucket_us": -(-length_us // _N_BUCKETS),
        "p_threshold": None if detector is None else detector.rule.p_value,
        "score_threshold": _score_threshold(detector),
        "buckets": [asdict(one) for one in found],
    }


def sensors_api(parts: ServiceParts) -> APIRouter:
    """Operations on sensors."""
    router = APIRouter(tags=["sensors"])

    @router.get("/sensors", responses=problem_responses())
    def list_sensors(request: Request) -> Response:
        """All sensors: state, last p-values, level, latest alarm."""
        recent = recent_clips(parts.store, N_SPARKS)
        items = [sensor_view(parts, one, recent.get(one.id, Recent())) for one in parts.store.sensors()]
        return tagged(request, {"items": items, "next": None})

    @router.get("/sensors/{sensor_id}/history", responses=problem_responses(404))
    def get_history(
        request: Request,
        sensor_id: Id,
        span: Annotated[Literal["hour", "day", "week", "month"], Query(description="Length of time.")] = "day",
        end_us: Annotated[
            int | None,
            Query(
                ge=0,
                le=LARGEST_ID,
                description="End, microseconds since 1970, UTC; if left out, now, or the end of the last clip where a "
                "recording that is played fast is ahead of the clock.",
            ),
        ] = None,
    ) -> Response:
        """Scores, p-values and levels over time, in spans of one length; gaps and faults."""
        return tagged(request, _history(parts, required_sensor(parts, sensor_id), span, end_us))

    return router
