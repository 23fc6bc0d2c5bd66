"""Score of a recording that a program sends."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile

from soundness.audio.formats import AUDIO_SUFFIXES
from soundness.audio.reading import read_info
from soundness.monitoring.detector_in_use import DetectorInUse
from soundness.service.api.answers import LARGEST_ID
from soundness.service.api.sensors import required_sensor
from soundness.service.parts import ServiceParts
from soundness.service.problems import Problem, problem_responses

__all__ = ["ScoreModel", "score_api"]

_MOST_WAITING = 4  # recordings on disk at one time
_BLOCK = 1 << 20
_LONGEST_SECONDS = 3_600.0  # silence is packed so well that a body could hold months, which nobody else could wait for
_SUFFIX_OF_TYPE = {
    "audio/flac": ".flac",
    "audio/x-flac": ".flac",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "audio/aiff": ".aiff",
}

_FILE = {"type": "string", "format": "binary"}
_BODY = {
    "required": True,
    "content": {
        "audio/wav": {"schema": _FILE},
        "audio/flac": {"schema": _FILE},
        "application/octet-stream": {"schema": _FILE},
        "multipart/form-data": {
            "schema": {"type": "object", "required": ["recording"], "properties": {"recording": _FILE}}
        },
    },
}


class ScoreModel(BaseModel):
    """Score of a recording."""

    sensor: int
    score: float = Field(description="Higher is more anomalous.")
    threshold: float
    p_value: float | None
    decision: int = Field(description="1 if the score lies above the threshold, else 0.")
    verdict: str = Field(description="`anomalous`, `normal` or `cannot tell`: nothing is called normal unjudged.")
    explanation: str = Field(description="What is anomalous, or why nobody can tell; empty for a normal recording.")
    notes: list[str]


def score_api(parts: ServiceParts) -> APIRouter:
    """Operation that scores."""
    router = APIRouter(tags=["score"])
    one_at_a_time = asyncio.Lock()
    n_waiting = 0

    @asynccontextmanager
    async def turn() -> AsyncIterator[None]:
        nonlocal n_waiting
        if n_waiting >= _MOST_WAITING:
            raise Problem(503, "too many recordings wait to be scored", kind="busy", headers={"Retry-After": "2"})
        n_waiting += 1
        try:
            yield
        finally:
            n_waiting -= 1

    @router.post("/score", openapi_extra={"requestBody": _BODY}, responses=problem_responses(404))
    async def score_recording(
        request: Request,
        sensor: Annotated[int, Query(ge=1, le=LARGEST_ID, description="Sensor whose detector scores.")],
    ) -> ScoreModel:
        """Score one recording, sent as the body or as the field `recording` of a form, with a sensor's detector."""
        detector = await run_in_threadpool(_required_detector, parts, sensor)
        async with turn():
            with _own_folder() as folder:
                path = await _received(request, folder)
                async with one_at_a_time:  # the clips of the sensors come first
                    return await run_in_threadpool(_score, detector, path, sensor)

    return router


@contextmanager
def _own_folder() -> Iterator[Path]:
    """Context with a folder for a recording; a full disk is a problem that passes."""
    try:
        with tempfile.TemporaryDirectory(prefix="soundness-") as folder:
            yield Path(folder)
    except OSError as error:
        words = f"the recording cannot be kept while it is scored: {error.strerror or error}"
        raise Problem(503, words, kind="no-room", headers={"Retry-After": "60"}) from None


def _required_detector(parts: ServiceParts, sensor_id: int) -> DetectorInUse:
    found = parts.detector_of(required_sensor(parts, sensor_id).name)
    if found is None:
        raise Problem(404, "that sensor has no detector yet", kind="no-detector")
    return found


def _score(detector: DetectorInUse, path: Path, sensor_id: int) -> ScoreModel:
    seconds = read_info(path).seconds
    if seconds > _LONGEST_SECONDS:
        words = f"a recording of {seconds:,.0f} s; at most {_LONGEST_SECONDS:,.0f} s are scored"
        raise Problem(413, words, kind="too-long")
    score, reason = detector.detector.score_and_reason(path)
    return ScoreModel(
        sensor=sensor_id,
        score=score.anomaly_score,
        threshold=score.threshold,
        p_value=score.p_value,
        decision=score.decision,
        verdict=score.verdict,
        explanation=reason,
        notes=list(score.notes),
    )


async def _received(request: Request, folder: Path) -> Path:
    """File of the recording that a request brings."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "multipart/form-data":
        async with request.form(max_files=1, max_fields=4) as form:
            upload = form.get("recording")
            if not isinstance(upload, UploadFile):
                raise Problem(422, "no file in the field `recording` of the form", kind="invalid")
            path = folder / f"recording{_suffix(upload.filename or '')}"
            with path.open("wb") as stream:
                while block := await upload.read(_BLOCK):
                    await run_in_threadpool(stream.write, block)
    else:
        path = folder / f"recording{_SUFFIX_OF_TYPE.get(content_type, '.wav')}"
        with path.open("wb") as stream:
            async for block in request.stream():
                await run_in_threadpool(stream.write, block)
    if path.stat().st_size == 0:
        raise Problem(422, "the recording is empty: send its bytes as the body", kind="invalid")
    return path


def _suffix(name: str) -> str:
    """Suffix of a name, of which nothing else is used."""
    found = Path(name).suffix.lower()
    return found if found in AUDIO_SUFFIXES else ".wav"
