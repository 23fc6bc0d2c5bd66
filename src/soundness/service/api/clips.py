"""Clips, their audio and their spectrograms."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response

from soundness.monitoring.store.listing import find_alarm, find_clip, find_clips, list_clips
from soundness.monitoring.store.records import ClipRow, Outcome
from soundness.service.api.answers import LARGEST_ID, Before, Id, Limit, page_of, tagged
from soundness.service.api.sensors import required_sensor
from soundness.service.api.views import clip_view
from soundness.service.audio_files import clip_audio, ring_clips, spectrogram
from soundness.service.parts import ServiceParts
from soundness.service.problems import Problem, problem_responses

__all__ = ["clips_api", "required_clip"]

_MOST_LIVE = 12  # clips of the ring that are shown and played

AlarmKey = Annotated[str, Query(pattern=r"^[0-9a-f-]{36}$", description="Only those of an alarm.")]


def required_clip(parts: ServiceParts, clip_id: int) -> ClipRow:
    """Clip of an id.

    Raises
    ------
    Problem
        If there is none.
    """
    found = find_clip(parts.store, clip_id)
    if found is None:
        raise Problem(404, f"no clip has the number {clip_id}", kind="not-found")
    return found


def clips_api(parts: ServiceParts) -> APIRouter:
    """Operations on clips."""
    router = APIRouter(tags=["clips"])
    _add_lists(router, parts)
    _add_sound(router, parts)
    _add_live_sound(router, parts)
    return router


def _add_lists(router: APIRouter, parts: ServiceParts) -> None:
    @router.get("/clips", responses=problem_responses(404))
    def get_clips(
        request: Request,
        sensor: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="Only those of a sensor.")] = None,
        alarm: AlarmKey | None = None,
        outcome: Annotated[Outcome | None, Query(description="Only those with an outcome.")] = None,
        before: Before = None,
        limit: Limit = 100,
    ) -> Response:
        """Clips and gaps, the latest first."""
        found = None if alarm is None else find_alarm(parts.store, alarm)
        if alarm is not None and found is None:
            raise Problem(404, "no alarm has that key", kind="not-found")
        rows = list_clips(
            parts.store,
            sensor_id=sensor,
            alarm=found,
            outcome=outcome,
            before=before,
            limit=limit + 1,
        )
        return tagged(request, page_of(rows, limit, shown=clip_view, id_of=lambda row: row.id))

    @router.get("/clips/{clip_id}", responses=problem_responses(404))
    def get_clip(request: Request, clip_id: Id) -> Response:
        """One clip or gap."""
        return tagged(request, clip_view(required_clip(parts, clip_id)))


def _add_sound(router: APIRouter, parts: ServiceParts) -> None:
    @router.get(
        "/clips/{clip_id}/audio",
        response_class=FileResponse,
        responses={200: {"content": {"audio/flac": {}}}, **problem_responses(404)},
    )
    def get_audio(clip_id: Id) -> Response:
        """Audio of a clip as FLAC: kept with an alarm, or still in the ring of the last minutes."""
        path = clip_audio(parts.store, required_clip(parts, clip_id))
        if path is None:
            raise Problem(404, "the audio of this clip is not kept", kind="no-audio")
        headers = {"Cache-Control": "private, max-age=3600"}
        return FileResponse(path, media_type="audio/flac", filename=f"clip-{clip_id}.flac", headers=headers,
                            content_disposition_type="inline")  # fmt: skip

    @router.get(
        "/clips/{clip_id}/spectrogram.png",
        response_class=Response,
        responses={200: {"content": {"image/png": {}}}, **problem_responses(404)},
    )
    def get_spectrogram(clip_id: Id) -> Response:
        """Spectrogram of a clip."""
        path = clip_audio(parts.store, required_clip(parts, clip_id))
        found = None if path is None else spectrogram([path])
        if found is None:
            raise Problem(404, "the audio of this clip is not kept", kind="no-audio")
        return Response(found.png, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


def _add_live_sound(router: APIRouter, parts: ServiceParts) -> None:
    @router.get("/sensors/{sensor_id}/live", responses=problem_responses(404))
    def get_live(request: Request, sensor_id: Id) -> Response:
        """The last clips that are on disk, to be played and seen."""
        sensor = required_sensor(parts, sensor_id)
        files = ring_clips(parts.store, sensor.id, most=_MOST_LIVE)
        rows = find_clips(parts.store, sensor.id, [one.number for one in files])
        shown = spectrogram([one.path for one in files][-1:])
        return tagged(
            request,
            {
                "items": [clip_view(row) for row in rows],
                "ticks": [] if shown is None else [list(one) for one in shown.ticks],
            },
        )

    @router.get(
        "/sensors/{sensor_id}/spectrogram.png",
        response_class=Response,
        responses={200: {"content": {"image/png": {}}}, **problem_responses(404)},
    )
    def get_live_spectrogram(sensor_id: Id) -> Response:
        """Spectrogram of the last clips that are on disk."""
        sensor = required_sensor(parts, sensor_id)
        found = spectrogram([one.path for one in ring_clips(parts.store, sensor.id, most=_MOST_LIVE)])
        if found is None:
            raise Problem(404, "no clip of this sensor is on disk", kind="no-audio")
        return Response(found.png, media_type="image/png")
