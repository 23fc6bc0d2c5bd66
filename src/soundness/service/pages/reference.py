"""Description of the interface for programs, from its OpenAPI document: a page that needs nothing from elsewhere."""

import json
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse

from soundness.service.pages.rendering import Pages

__all__ = ["reference_page"]


def reference_page(app: FastAPI, pages: Pages) -> APIRouter:
    """Page of the interface."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    def reference(request: Request) -> HTMLResponse:
        document = app.openapi()
        return pages.page(request, "reference.html", groups=_groups(document), title=document["info"]["title"])

    return router


def _groups(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Operations by their tag."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            shown = {
                "method": method.upper(),
                "path": path,
                "words": _words(operation.get("description", operation.get("summary", ""))),
                "parameters": [_parameter(one) for one in operation.get("parameters", [])],
                "bodies": [_body(document, kind, one) for kind, one in _content(operation.get("requestBody", {}))],
                "answers": [(status, one["description"]) for status, one in operation["responses"].items()],
            }
            found.setdefault(operation.get("tags", ["other"])[0], []).append(shown)
    return found


def _parameter(one: dict[str, Any]) -> tuple[str, str, str]:
    kind = _shown(one["schema"])
    return (
        one["name"],
        f"{one['in']}, {kind}{', required' if one.get('required') else ''}",
        _words(one.get("description", "")),
    )


def _words(text: str) -> str:
    return text.replace("`", "")


def _shown(schema: dict[str, Any]) -> str:
    choices = [_shown(each) for each in schema.get("anyOf", []) if each.get("type") != "null"]
    if choices:
        return " or ".join(choices)
    return " | ".join(map(str, schema["enum"])) if "enum" in schema else str(schema.get("type", "any"))


def _content(part: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return list(part.get("content", {}).items())


def _body(document: dict[str, Any], kind: str, part: dict[str, Any]) -> tuple[str, str]:
    schema = part.get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    fields = {name: _shown(one) for name, one in schema.get("properties", {}).items()}
    return kind, json.dumps(fields, indent=2) if fields else "bytes of the recording"
