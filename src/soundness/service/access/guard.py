"""Guard of the service: every request passes it before anything else sees it."""

import threading
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from soundness.service.access.attempts import FailedLogins
from soundness.service.access.passwords import Secrets
from soundness.service.access.sessions import COOKIE, SECONDS, Session, SessionKey
from soundness.service.problems import Problem, problem_response

__all__ = [
    "CSRF_HEADER",
    "LARGEST_BODY",
    "LARGEST_UPLOAD",
    "Access",
    "Guard",
    "is_loopback",
    "session_of",
    "too_many_failures",
]

CSRF_HEADER = "x-csrf-token"
LARGEST_BODY = 64 * 1024
"""Bytes of the body of a request, other than a recording."""

LARGEST_UPLOAD = 64 * 1024 * 1024
"""Bytes of a recording that is sent to be scored."""

_MOST_LOGINS = 2  # at one time: a hash takes long, and a thread that others want
_UPLOADS = "/api/score"
_PUBLIC = ("/login", "/health")
_FORMS = ("/login", "/logout")
_SAFE = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


def is_loopback(host: str) -> bool:
    """True for an address of this computer alone."""
    name = host.strip("[]").lower().rstrip(".")
    return name in ("localhost", "::1") or (name.startswith("127.") and name.replace(".", "").isdigit())


@dataclass(kw_only=True, eq=False)
class Access:
    """Rules of access.

    Parameters
    ----------
    secrets
        Secrets that open the service.
    key
        Key of the sessions.
    host
        Address that the service listens on.
    public_url
        Address under which people reach it; empty if there is no other.
    """

    secrets: Secrets
    key: SessionKey
    host: str
    public_url: str = ""

    def __post_init__(self) -> None:
        self.failures = FailedLogins()
        self.logins = threading.BoundedSemaphore(_MOST_LOGINS)
        public = urlsplit(self.public_url)
        self.is_secure = public.scheme == "https"
        self._public_host = (public.hostname or "").lower()

    def is_host(self, header: str) -> bool:
        """True if a request names a host by which this service is reached: others may be names of another site."""
        if not is_loopback(self.host):
            return True
        name = (urlsplit(f"//{header}").hostname or "") if _is_plain(header) else ""
        return is_loopback(name) or (bool(name) and name == self._public_host)

    def cookie(self, session: Session) -> str:
        """Value of the header that gives a session to a browser."""
        secure = "; Secure" if self.is_secure else ""
        return f"{COOKIE}={self.key.cookie(session)}; Path=/; Max-Age={SECONDS}; HttpOnly; SameSite=Strict{secure}"


def session_of(scope: Scope) -> Session:
    """Session of a request that the guard let pass; an unknown one for programs."""
    found: Session = scope["state"]["session"]
    return found


class Guard:
    """Application in front of another: refuses requests, or gives them their session.

    Parameters
    ----------
    app
        Application behind.
    access
        Rules of access.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        session, is_new = self._session(headers)
        try:
            self._check(scope, headers, session)
            limited = _limited(receive, headers, LARGEST_UPLOAD if scope["path"] == _UPLOADS else LARGEST_BODY)
        except Problem as problem:
            response = problem_response(problem)
            if problem.status_code == 401 and _is_page(scope) and "text/html" in headers.get("accept", ""):
                response = RedirectResponse(f"/login?next={quote(scope['path'])}", status_code=303)
            await response(scope, receive, self._sender(send, scope, None))
            return
        scope.setdefault("state", {})["session"] = session
        cookie = self.access.cookie(session) if is_new and _is_page(scope) else None
        await self.app(scope, limited, self._sender(send, scope, cookie))

    def _session(self, headers: Headers) -> tuple[Session, bool]:
        """Session of a request, and true if it is new."""
        text = _cookie(headers)
        found = None if text is None else self.access.key.session(text)
        return (found, False) if found is not None else (Session.new(is_known=False), True)

    def _check(self, scope: Scope, headers: Headers, session: Session) -> None:
        access = self.access
        if not access.is_host(headers.get("host", "")):
            raise Problem(421, "this service does not answer under that host name", kind="wrong-host")
        address = "" if scope.get("client") is None else str(scope["client"][0])
        bearer = _bearer(headers)
        if bearer is not None:
            self._check_token(bearer, address)
            return
        path, is_safe = scope["path"], scope["method"] in _SAFE
        is_public = path in _PUBLIC or path.startswith("/static/")
        if not access.secrets.is_open and not session.is_known and not is_public:
            raise Problem(401, "log in, or send the token as Authorization: Bearer", kind="not-logged-in")
        if not is_safe:
            self._check_origin(headers, session, has_form=path in _FORMS)

    def _check_token(self, bearer: str, address: str) -> None:
        access = self.access
        if access.secrets.is_open:
            return
        if access.secrets.is_token(bearer):  # long enough not to be guessed: others' failures do not keep it out
            return
        wait = access.failures.wait_seconds(address)
        if wait:
            raise too_many_failures(wait)
        access.failures.failed(address)
        raise Problem(401, "the token is not the one of the configuration", kind="wrong-token")

    def _check_origin(self, headers: Headers, session: Session, *, has_form: bool) -> None:
        """Refuse what another site has a browser send."""
        origin, text = headers.get("origin"), headers.get(CSRF_HEADER)
        if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
            raise Problem(403, "sent by a page of another site", kind="other-site")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Problem(403, "sent by a page of another site", kind="other-site")
        is_browser = any(name in headers for name in ("origin", "sec-fetch-site", "cookie"))
        if not is_browser and self.access.secrets.is_open:
            return  # a program on this computer
        if has_form:
            return  # its token is a field of the form
        if text is None or not self.access.key.is_form_token(session, text):
            raise Problem(403, "the token of the page is missing or old; load the page again", kind="csrf")

    @staticmethod
    def _sender(send: Send, scope: Scope, cookie: str | None) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("cache-control", "no-store" if cookie else "no-cache")
                if cookie is not None and "set-cookie" not in headers:
                    headers.append("set-cookie", cookie)
            await send(message)

        return guarded


def too_many_failures(wait: float) -> Problem:
    """Problem of an address that has to wait."""
    seconds = int(wait) + 1
    return Problem(
        429, f"too many failed logins; try again in {seconds} s", kind="wait", headers={"Retry-After": f"{seconds}"}
    )


def _limited(receive: Receive, headers: Headers, most: int) -> Receive:
    """Receiver that refuses a body beyond a size, stated or not."""
    stated = headers.get("content-length", "0")
    if not stated.isdecimal() or int(stated) > most:
        raise _too_large(most)
    n_bytes = 0

    async def limited() -> Message:
        nonlocal n_bytes
        message = await receive()
        n_bytes += len(message.get("body", b""))
        if n_bytes > most:
            raise _too_large(most)
        return message

    return limited


def _too_large(most: int) -> Problem:
    return Problem(413, f"the body is too large; at most {most:,} bytes are accepted", kind="too-large")


def _is_plain(header: str) -> bool:
    return bool(header) and header.isascii() and not any(one in header for one in "/\\@?# ")


def _cookie(headers: Headers) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def _bearer(headers: Headers) -> str | None:
    kind, _, text = headers.get("authorization", "").partition(" ")
    return text.strip() if kind.lower() == "bearer" else None


def _is_page(scope: Scope) -> bool:
    return scope["method"] == "GET" and not scope["path"].startswith(("/api/", "/static/", "/metrics", "/health"))
