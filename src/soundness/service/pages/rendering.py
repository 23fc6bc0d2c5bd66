"""Templates and files of the pages."""

import hashlib
import importlib.metadata
from functools import lru_cache
from http import HTTPStatus
from importlib import resources
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from soundness.service.access.guard import Access, session_of
from soundness.service.problems import Problem, problem_response

__all__ = ["Pages", "static_files"]

_MEDIA_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_PLAYERS = "players.js"  # of the pages of reports too
_FOR_PROGRAMS = ("/api/", "/static/", "/metrics", "/health")
_A_YEAR = 365 * 24 * 3600


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("soundness.service.pages", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["file"] = _file_url
    environment.globals["version"] = importlib.metadata.version("soundness")
    return environment


@lru_cache(maxsize=1)
def _files() -> dict[str, tuple[bytes, str]]:
    """Content and fingerprint of each file of the pages, by name."""
    folder = resources.files("soundness.service.pages").joinpath("static")
    found = {one.name: one.read_bytes() for one in folder.iterdir() if one.name.rpartition(".")[2] in _MEDIA_TYPES}
    found[_PLAYERS] = resources.files("soundness.reports").joinpath("templates", _PLAYERS).read_bytes()
    return {name: (content, hashlib.sha256(content).hexdigest()[:16]) for name, content in found.items()}


def _file_url(name: str) -> str:
    return f"/static/{name}?v={_files()[name][1]}"


class Pages:
    """Renders the pages.

    Parameters
    ----------
    access
        Rules of access.
    """

    def __init__(self, access: Access) -> None:
        self.access = access

    def page(self, request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
        """Answer with a page; values are escaped."""
        session = session_of(request.scope)
        html = (
            _environment()
            .get_template(template)
            .render(
                csrf=self.access.key.form_token(session),
                is_protected=not self.access.secrets.is_open,
                person=session.person,
                **context,
            )
        )
        return HTMLResponse(html.encode("utf-8", errors="replace"), status_code=status)

    def problem(self, request: Request, problem: Problem) -> Response:
        """Answer with a problem: a page for people who asked for one, problem+json for programs."""
        wants_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
        if not wants_page or request.url.path.startswith(_FOR_PROGRAMS):
            return problem_response(problem)
        title = HTTPStatus(problem.status_code).phrase
        page = self.page(request, "problem.html", status=problem.status_code, title=title, detail=problem.detail)
        page.headers.update(problem.headers or {})
        return page

    @staticmethod
    def fragment(template: str, **context: Any) -> HTMLResponse:
        """Answer with a part of a page."""
        html = _environment().get_template(template).render(**context)
        return HTMLResponse(html.encode("utf-8", errors="replace"))


def static_files() -> APIRouter:
    """Files of the pages, found by name in a table: no path of a request reaches the file system."""
    router = APIRouter(include_in_schema=False)

    @router.get("/static/{name}")
    def static(request: Request, name: str) -> Response:
        found = _files().get(name)
        if found is None:
            raise Problem(404, "no such file", kind="not-found")
        is_exact = request.query_params.get("v") == found[1]
        kept = f"public, max-age={_A_YEAR}, immutable" if is_exact else "no-cache"
        headers = {"Cache-Control": kept, "ETag": f'"{found[1]}"'}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(found[0], media_type=_MEDIA_TYPES[name.rpartition(".")[2]], headers=headers)

    return router
