"""Overview: every sensor with its state."""

import re
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from soundness.monitoring.store.history import Recent, recent_clips
from soundness.plain_text import printable
from soundness.service.api.sensors import N_SPARKS
from soundness.service.api.views import sensor_view
from soundness.service.pages.rendering import Pages
from soundness.service.pages.words import STATE_WORDS
from soundness.service.parts import ServiceParts

__all__ = ["overview_page"]


def overview_page(parts: ServiceParts, pages: Pages) -> APIRouter:
    """The first page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def overview(request: Request) -> HTMLResponse:
        recent = recent_clips(parts.store, N_SPARKS)
        views = [sensor_view(parts, one, recent.get(one.id, Recent())) for one in parts.store.sensors()]
        order = list(STATE_WORDS)
        views.sort(key=lambda view: (order.index(view["state"]), _natural(view["name"])))
        troubled = [one for one in parts.sinks() if one.problem]
        return pages.page(
            request,
            "overview.html",
            sensors=views,
            words=STATE_WORDS,
            problems=list(map(printable, parts.problems())),
            sinks=troubled,
            **_summary(views),
        )

    return router


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Key that sorts pump 2 before pump 10."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [
        (part.isascii() and part.isdigit(), int(part) if part.isascii() and part.isdigit() else 0, part)
        for part in parts
    ]


def _summary(views: list[dict[str, Any]]) -> dict[str, Any]:
    counts = {state: sum(view["state"] == state for view in views) for state in STATE_WORDS}
    return {"counts": counts, "size": "few" if len(views) <= 12 else "some" if len(views) <= 48 else "many"}
