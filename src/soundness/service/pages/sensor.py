"""Page of one sensor."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from soundness.monitoring.store.listing import list_alarms
from soundness.monitoring.store.records import Sensor
from soundness.monitoring.store.times import utc_us
from soundness.plain_text import printable
from soundness.service.api.answers import Id
from soundness.service.api.sensors import SPANS, required_sensor
from soundness.service.pages.rendering import Pages
from soundness.service.pages.words import KINDS, STATE_WORDS, VERDICTS, detector_facts, sensor_facts
from soundness.service.parts import ServiceParts

__all__ = ["sensor_page"]

_N_ALARMS = 10
_NEW_US = 3 * 3_600_000_000


def sensor_page(parts: ServiceParts, pages: Pages) -> APIRouter:
    """Page of a sensor."""
    router = APIRouter(include_in_schema=False)

    @router.get("/sensors/{sensor_id}")
    def sensor(request: Request, sensor_id: Id) -> HTMLResponse:
        found = required_sensor(parts, sensor_id)
        state, note = parts.state_of(found)
        learning = found.details.get("learning")
        aside = learning.get("set_aside", []) if isinstance(learning, dict) else []
        return pages.page(
            request,
            "sensor.html",
            sensor=found,
            state=state,
            note=printable(note),
            source=printable(found.source),
            n_set_aside=len(aside),
            facts=sensor_facts(parts, found),
            detector=detector_facts(parts, found),
            alarms=list_alarms(parts.store, sensor_id=found.id, limit=_N_ALARMS),
            words=STATE_WORDS,
            kinds=KINDS,
            verdicts=VERDICTS,
            spans=list(SPANS),
            span=_first_span(found),
            measure="level" if parts.detector_of(found.name) is None else "score",
            is_live=parts.sensor_settings(found.name) is not None,
        )

    return router


def _first_span(sensor: Sensor) -> str:
    """Length of time that the chart shows at first: an hour for a sensor that is new."""
    is_new = sensor.first_us is None or sensor.first_us > utc_us() - _NEW_US
    return "hour" if is_new else "day"
