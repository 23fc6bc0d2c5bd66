"""Answers of the interface: JSON with ETags, and pages of a list."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Path, Query, Request
from fastapi.responses import JSONResponse, Response

__all__ = ["LARGEST_ID", "Before", "Id", "Limit", "page_of", "tagged"]

LARGEST_ID = 2**53 - 1
"""Largest number that every reader of JSON takes."""

Id = Annotated[int, Path(ge=1, le=LARGEST_ID, description="Number of it.")]
Before = Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="Only those before it: `next` of a page.")]
Limit = Annotated[int, Query(ge=1, le=500, description="Largest number of items.")]

Row = TypeVar("Row")


def tagged(request: Request, content: Mapping[str, Any]) -> Response:
    """Answer with JSON, or with nothing where the caller has it already."""
    body = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:24]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    known = [one.strip() for one in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=JSONResponse.media_type, headers=headers)


def page_of(
    rows: Sequence[Row], limit: int, *, shown: Callable[[Row], Mapping[str, Any]], id_of: Callable[[Row], int]
) -> dict[str, Any]:
    """Items of a page, and where the next one begins; ``rows`` may hold one more than the limit."""
    items = rows[:limit]
    return {"items": [shown(row) for row in items], "next": id_of(items[-1]) if len(rows) > limit else None}
