"""Problems as the service tells them: problem+json for programs (RFC 9457), a page for people."""

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from soundness.errors import AudioError, OutputError, SoundnessError
from soundness.plain_text import one_line

__all__ = ["Problem", "ProblemModel", "handle_problems", "problem_response", "problem_responses"]

_LOG = logging.getLogger(__name__)

_MEDIA_TYPE = "application/problem+json"


class ProblemModel(BaseModel):
    """Problem of a request."""

    type: str
    title: str
    status: int
    detail: str


class Problem(HTTPException):
    """Reason why a request is refused.

    Parameters
    ----------
    status
        Status of HTTP.
    detail
        Reason in words.
    kind
        Name that programs can tell it by.
    headers
        Headers of the answer.
    """

    def __init__(self, status: int, detail: str, *, kind: str, headers: Mapping[str, str] | None = None) -> None:
        found = dict(headers or {})
        if status == 401:
            found.setdefault("WWW-Authenticate", 'Bearer realm="soundness"')
        super().__init__(status, detail, headers=found)
        self.kind = kind


def problem_response(problem: Problem) -> Response:
    """Answer that tells of a problem."""
    content = {
        "type": f"urn:soundness:problem:{problem.kind}",
        "title": HTTPStatus(problem.status_code).phrase,
        "status": problem.status_code,
        "detail": problem.detail,
    }
    return JSONResponse(content, status_code=problem.status_code, headers=problem.headers, media_type=_MEDIA_TYPE)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Descriptions of problems for OpenAPI: those of every operation, and some more."""
    return {
        status: {
            "model": ProblemModel,
            "description": HTTPStatus(status).phrase,
            "content": {_MEDIA_TYPE: {"schema": ProblemModel.model_json_schema()}},
        }
        for status in sorted({400, 401, 403, 413, 421, 422, 429, 503, *statuses})
    }


def handle_problems(app: FastAPI, shown: Callable[[Request, Problem], Response]) -> None:
    """Have an application tell of its problems, as a function shows them."""

    @app.exception_handler(Problem)
    async def _problem(request: Request, error: Problem) -> Response:
        return shown(request, error)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        headers = dict(error.headers or {})
        return shown(request, Problem(error.status_code, str(error.detail), kind=kind, headers=headers))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        errors, kind = error.errors(), request.headers.get("content-type", "")
        found = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in errors[:5]]
        if any(one["loc"] == ("body",) for one in errors) and "json" not in kind:
            found = ["expected JSON, sent with the header Content-Type: application/json"]
        return shown(request, Problem(422, one_line("; ".join(found)), kind="invalid"))

    @app.exception_handler(Exception)  # the server logs it
    async def _bug(request: Request, _error: Exception) -> Response:
        return shown(request, Problem(500, "a bug of soundness; the log says more", kind="bug"))

    @app.exception_handler(SoundnessError)
    async def _soundness(request: Request, error: SoundnessError) -> Response:
        if isinstance(error, OutputError):  # the store, which may come back
            _LOG.warning("%s", error)
            return shown(request, Problem(503, "the store cannot be used now; see the log", kind="store"))
        reason = error.reason if isinstance(error, AudioError) else str(error)
        return shown(request, Problem(422, one_line(reason), kind="unusable"))
