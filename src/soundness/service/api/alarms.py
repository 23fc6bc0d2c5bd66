"""Alarms, and the answers to them."""

import threading
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from soundness.errors import SoundnessError
from soundness.monitoring.store.listing import AlarmState, find_alarm, list_alarms
from soundness.monitoring.store.records import Alarm, AlarmKind
from soundness.monitoring.store.times import utc_us
from soundness.service.access.guard import session_of
from soundness.service.api.answers import LARGEST_ID, Before, Id, Limit, page_of, tagged
from soundness.service.api.sensors import required_sensor
from soundness.service.api.views import alarm_view
from soundness.service.parts import ServiceParts
from soundness.service.problems import Problem, problem_responses

__all__ = ["AlarmKey", "alarms_api", "can_undo", "required_alarm"]

AlarmKey = Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$", description="Key of the alarm.")]
Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Text = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=2_000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")
]
_LEARNING = threading.Lock()
_LONGEST_IGNORED_SECONDS = 366 * 86_400


class Acknowledgement(BaseModel):
    """Somebody has seen an alarm."""

    model_config = ConfigDict(extra="forbid")

    person: Line = ""


class Answer(BaseModel):
    """Answer to an alarm: a fault of the machine, normal sound, or nothing to care for until a time."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal["fault", "normal", "ignored"]
    label: Line = Field(default="", description="Kind of fault, such as bearing.")
    note: Text = ""
    person: Line = ""
    ignored_until_us: int | None = Field(
        default=None, ge=0, le=LARGEST_ID, description="End of ignoring, microseconds since 1970, UTC; for `ignored`."
    )


class Ignoring(BaseModel):
    """Time until which the alarms of a sensor are ignored."""

    model_config = ConfigDict(extra="forbid")

    until_us: int | None = Field(ge=0, le=LARGEST_ID, description="Microseconds since 1970, UTC; null to end it.")
    person: Line = ""


def required_alarm(parts: ServiceParts, key: str) -> Alarm:
    """Alarm of a key.

    Raises
    ------
    Problem
        If there is none.
    """
    found = find_alarm(parts.store, key)
    if found is None:
        raise Problem(404, "no alarm has that key", kind="not-found")
    return found


def can_undo(parts: ServiceParts, alarm: Alarm) -> bool:
    """True if the detector in use is the one that has learned from the answer to an alarm."""
    last = parts.store.last_detector(alarm.sensor_id)
    return parts.feedback is not None and last is not None and last.details.get("alarm") == alarm.key


def alarms_api(parts: ServiceParts) -> APIRouter:
    """Operations on alarms."""
    router = APIRouter(tags=["alarms"])
    _add_reading(router, parts)
    _add_answers(router, parts)
    _add_sensor_answers(router, parts)
    return router


def _add_reading(router: APIRouter, parts: ServiceParts) -> None:
    @router.get("/alarms", responses=problem_responses())
    def get_alarms(
        request: Request,
        sensor: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="Only those of a sensor.")] = None,
        kind: Annotated[AlarmKind | None, Query(description="Only those of a kind.")] = None,
        state: Annotated[AlarmState | None, Query(description="Only those in a state.")] = None,
        before: Before = None,
        limit: Limit = 100,
    ) -> Response:
        """Alarms, the latest first."""
        rows = list_alarms(parts.store, sensor_id=sensor, kind=kind, state=state, before=before, limit=limit + 1)
        return tagged(request, page_of(rows, limit, shown=alarm_view, id_of=lambda row: row.id))

    @router.get("/alarms/{key}", responses=problem_responses(404))
    def get_alarm(request: Request, key: AlarmKey) -> Response:
        """One alarm."""
        return tagged(request, alarm_view(required_alarm(parts, key)))


def _add_answers(router: APIRouter, parts: ServiceParts) -> None:
    @router.post("/alarms/{key}/acknowledge", responses=problem_responses(404))
    def acknowledge_alarm(request: Request, key: AlarmKey, body: Acknowledgement) -> dict[str, Any]:
        """Note that somebody has seen an alarm; the first one counts."""
        alarm, person = required_alarm(parts, key), _person(request, body.person)
        if alarm.acknowledged_us is None:
            _change(parts, alarm, "acknowledged", person, acknowledged_us=utc_us(), acknowledged_by=person)
        return alarm_view(required_alarm(parts, key))

    @router.post("/alarms/{key}/answer", responses=problem_responses(404))
    def answer_alarm(request: Request, key: AlarmKey, body: Answer) -> dict[str, Any]:
        """Answer an alarm; a later answer takes the place of an earlier one."""
        alarm, person = required_alarm(parts, key), _person(request, body.person)
        now_us = utc_us()
        if body.verdict == "ignored":
            _check_until(body.ignored_until_us, now_us)
        _change(
            parts,
            alarm,
            f"answered: {body.verdict}",
            person,
            verdict=body.verdict,
            label=body.label,
            note=body.note,
            closed_us=now_us,
            closed_by=person,
            **({} if alarm.acknowledged_us is not None else {"acknowledged_us": now_us, "acknowledged_by": person}),
        )
        if body.verdict == "ignored":
            _ignore(parts, alarm.sensor_id, body.ignored_until_us, person)
        message = _learned(parts, alarm, person) if body.verdict == "normal" else ""
        return {**alarm_view(required_alarm(parts, key)), "message": message, "can_undo": can_undo(parts, alarm)}


def _add_sensor_answers(router: APIRouter, parts: ServiceParts) -> None:
    @router.post("/sensors/{sensor_id}/ignore", responses=problem_responses(404))
    def ignore_alarms(request: Request, sensor_id: Id, body: Ignoring) -> dict[str, Any]:
        """Ignore the alarms of a sensor until a time, or no longer."""
        sensor = required_sensor(parts, sensor_id)
        if body.until_us is not None:
            _check_until(body.until_us, utc_us())
        _ignore(parts, sensor.id, body.until_us, _person(request, body.person))
        return {"id": sensor.id, "ignored_until_us": body.until_us}

    @router.post("/sensors/{sensor_id}/undo", responses=problem_responses(404))
    def undo_learning(request: Request, sensor_id: Id, body: Acknowledgement) -> dict[str, str]:
        """Take a sensor's detector back to before the latest answer that it has learned from."""
        sensor = required_sensor(parts, sensor_id)
        if parts.feedback is None:
            raise Problem(422, "this monitor does not learn from answers", kind="unusable")
        return {"message": parts.feedback.undo(sensor.name, person=_person(request, body.person))}


def _person(request: Request, person: str) -> str:
    return person or session_of(request.scope).person


def _check_until(until_us: int | None, now_us: int) -> None:
    if until_us is None or not now_us < until_us <= now_us + _LONGEST_IGNORED_SECONDS * 1_000_000:
        raise Problem(422, "the end of ignoring: expected a time within the year to come", kind="invalid")


def _change(parts: ServiceParts, alarm: Alarm, what: str, person: str, **values: Any) -> None:
    """Change an alarm, note who did it, and tell of it."""
    with parts.store.transaction() as transaction:
        transaction.update_alarm(alarm.id, **values)
        transaction.note_change(
            f"alarm {what}", now_us=utc_us(), sensor_id=alarm.sensor_id, person=person, alarm=alarm.key
        )
    sensor = required_sensor(parts, alarm.sensor_id)
    parts.tell_of_alarm(sensor.name, {**alarm_view(required_alarm(parts, alarm.key)), "event": "answered"})


def _ignore(parts: ServiceParts, sensor_id: int, until_us: int | None, person: str) -> None:
    with parts.store.transaction() as transaction:
        transaction.update_sensor(sensor_id, ignored_until_us=until_us)
        transaction.note_change(
            "alarms ignored", now_us=utc_us(), sensor_id=sensor_id, person=person, until_us=until_us
        )


def _learned(parts: ServiceParts, alarm: Alarm, person: str) -> str:
    """Effect of learning the sound of an alarm as normal, in words."""
    if parts.feedback is None:
        return "The answer is stored; this monitor does not learn from answers."
    if not _LEARNING.acquire(blocking=False):  # it takes the time of a core, and a thread of the pages
        return "The answer is stored, but the sound is not learned: another one is; answer again in a minute."
    try:
        return parts.feedback(alarm, person=person)
    except SoundnessError as error:
        return f"The answer is stored, but the sound is not learned: {error}"
    finally:
        _LEARNING.release()
