"""The HTTP application: guard, interface for programs, pages for people."""

import importlib.metadata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

import anyio.to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from soundness.plain_text import printable
from soundness.service.access.guard import Access, Guard
from soundness.service.api.alarms import alarms_api
from soundness.service.api.answers import tagged
from soundness.service.api.clips import clips_api
from soundness.service.api.live import LiveEvents, events_api
from soundness.service.api.scoring import score_api
from soundness.service.api.sensors import sensors_api
from soundness.service.pages.alarm import alarm_pages
from soundness.service.pages.login import login_pages
from soundness.service.pages.overview import overview_page
from soundness.service.pages.reference import reference_page
from soundness.service.pages.rendering import Pages, static_files
from soundness.service.pages.sensor import sensor_page
from soundness.service.parts import ServiceParts
from soundness.service.problems import Problem, handle_problems, problem_responses

__all__ = ["build_application"]

_N_THREADS = 6
"""Threads that answer: fewer than the connections that the store's pool may have, which the engine needs as well."""


def build_application(parts: ServiceParts, access: Access, live: LiveEvents) -> ASGIApp:
    """Application of a monitor.

    Parameters
    ----------
    parts
        Parts of the monitor.
    access
        Rules of access.
    live
        Events for those who listen.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = _N_THREADS
        live.start()
        yield

    app = FastAPI(
        title="soundness monitor",
        version=importlib.metadata.version("soundness"),
        description="Sensors, clips and alarms of a monitor, and the score of a recording.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=lifespan,
    )
    pages = Pages(access)
    handle_problems(app, pages.problem)
    api = APIRouter(prefix="/api")
    for router in (score_api(parts), sensors_api(parts), clips_api(parts), alarms_api(parts), events_api(live)):
        api.include_router(router)
    app.include_router(api)
    app.include_router(_health(parts))
    app.include_router(static_files())
    for router in (
        overview_page(parts, pages),
        sensor_page(parts, pages),
        alarm_pages(parts, pages),
        login_pages(pages),
        reference_page(app, pages),
    ):
        app.include_router(router)
    return Guard(app, access)


def _health(parts: ServiceParts) -> APIRouter:
    router = APIRouter(tags=["monitor"])

    @router.get("/health", responses=problem_responses())
    async def get_health() -> dict[str, str]:
        """Is the monitor well? 503 if it is not."""
        problem = parts.problem()
        if problem:
            raise Problem(503, problem, kind="unwell")
        return {"status": "ok"}

    @router.get("/api/sinks", responses=problem_responses())
    def list_sinks(request: Request) -> Response:
        """All sinks: number of events that have not arrived, and the last problem, which is empty if there is none."""
        return tagged(request, {"items": [asdict(one) for one in parts.sinks()], "next": None})

    @router.get("/api/problems", responses=problem_responses())
    def list_problems(request: Request) -> Response:
        """All that is wrong with the monitor itself: sound that is not recorded and why, audio that is not kept."""
        items = [{"problem": printable(one)} for one in parts.problems()]
        return tagged(request, {"items": items, "next": None})

    @router.get("/metrics", response_class=PlainTextResponse, responses=problem_responses(404))
    def get_metrics() -> Response:
        """Figures for Prometheus."""
        if parts.metrics is None:
            raise Problem(404, "this monitor has no figures to give", kind="not-found")
        return PlainTextResponse(parts.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
