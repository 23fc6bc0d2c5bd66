"""Login and logout."""

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import StringConstraints

from soundness.service.access.guard import Access, session_of, too_many_failures
from soundness.service.access.sessions import Session
from soundness.service.pages.rendering import Pages
from soundness.service.problems import Problem

__all__ = ["login_pages"]

Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$")]


def login_pages(pages: Pages) -> APIRouter:
    """Pages that let people in and out."""
    router = APIRouter(include_in_schema=False)
    access = pages.access

    @router.get("/login")
    def login(request: Request, next: str = "/") -> HTMLResponse:  # noqa: A002  # the name in the address
        return pages.page(request, "login.html", following=_local(next), problem="")

    @router.post("/login")
    def enter(
        request: Request,
        csrf: Annotated[str, Form()] = "",
        password: Annotated[str, Form()] = "",
        person: Annotated[Name, Form()] = "",
        following: Annotated[str, Form()] = "/",
    ) -> Response:
        problem = _refusal(access, request, csrf=csrf, password=password)
        if problem is not None:
            page = pages.page(
                request, "login.html", status=problem.status_code, following=_local(following), problem=problem.detail
            )
            page.headers.update(problem.headers or {})
            return page
        answer = RedirectResponse(_local(following), status_code=303)
        answer.headers["set-cookie"] = access.cookie(Session.new(is_known=True, person=person))
        return answer

    @router.post("/logout")
    def leave(request: Request, csrf: Annotated[str, Form()] = "") -> Response:
        if not access.key.is_form_token(session_of(request.scope), csrf):
            raise Problem(403, "the page was old", kind="csrf")
        answer = RedirectResponse("/login", status_code=303)
        answer.headers["set-cookie"] = access.cookie(Session.new(is_known=False))
        return answer

    return router


def _refusal(access: Access, request: Request, *, csrf: str, password: str) -> Problem | None:
    """Reason why a login is refused; ``None`` if it is not."""
    if not access.key.is_form_token(session_of(request.scope), csrf):
        return Problem(403, "The page was old; try again.", kind="csrf")
    address = "" if request.client is None else request.client.host
    wait = access.failures.wait_seconds(address)
    if wait:
        return too_many_failures(wait)
    if not access.secrets.is_open:
        if not access.logins.acquire(blocking=False):
            words = "Others are logging in; try again in a few seconds."
            return Problem(503, words, kind="busy", headers={"Retry-After": "3"})
        try:
            is_right = access.secrets.is_password(password)
        finally:
            access.logins.release()
        if not is_right:
            access.failures.failed(address)
            return Problem(401, "That is not the password.", kind="wrong-password")
    access.failures.succeeded(address)
    return None


def _local(address: str) -> str:
    """Address within this service; any other becomes the first page."""
    parts = urlsplit(address)
    is_local = not parts.scheme and not parts.netloc and address.startswith("/") and not address.startswith("//")
    return address if is_local and "\\" not in address and address.isprintable() else "/"
