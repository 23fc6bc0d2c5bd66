"""Sessions of the pages: signed cookies, so that nothing is kept of them here."""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from soundness.errors import OutputError

__all__ = ["COOKIE", "SECONDS", "Session", "SessionKey", "read_session_key"]

COOKIE = "soundness_session"
SECONDS = 30 * 24 * 3600
"""Time for which a person stays logged in."""

_KEY_FILE = "session-key"
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Session of a browser.

    Parameters
    ----------
    identity
        Random text, which no other session has.
    is_known
        True if the person has logged in.
    person
        Name that the person gave; may be empty.
    expires
        End, seconds since 1970.
    """

    identity: str
    is_known: bool
    person: str
    expires: int

    @classmethod
    def new(cls, *, is_known: bool, person: str = "") -> "Session":
        """Begin a session."""
        return cls(
            identity=secrets.token_urlsafe(18), is_known=is_known, person=person, expires=int(time.time()) + SECONDS
        )


class SessionKey:
    """Key that sessions are signed with.

    Parameters
    ----------
    key
        Random bytes.
    password_hash
        Hash of the password: another password ends all sessions.
    """

    def __init__(self, key: bytes, password_hash: str) -> None:
        self._key = hmac.digest(key, password_hash.encode(), "sha256")

    def cookie(self, session: Session) -> str:
        """Text of a session's cookie."""
        values = [session.identity, session.is_known, session.person, session.expires]
        content = base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
        return f"{content}.{self._signature('session', content)}"

    def session(self, cookie: str) -> Session | None:
        """Session of a cookie; ``None`` if it is forged or too old."""
        content, _, signature = cookie.partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature("session", content).encode()):
            return None
        try:
            identity, is_known, person, expires = json.loads(base64.urlsafe_b64decode(content))
        except (ValueError, binascii.Error):  # signed by a version that wrote something else
            return None
        if expires < time.time():
            return None
        return Session(identity=identity, is_known=is_known, person=person, expires=expires)

    def form_token(self, session: Session) -> str:
        """Text that pages of a session send with whatever they change, and other sites do not know."""
        return self._signature("form", session.identity)

    def is_form_token(self, session: Session, text: str) -> bool:
        """True for the form token of a session."""
        return hmac.compare_digest(text.encode(), self.form_token(session).encode())

    def _signature(self, use: str, content: str) -> str:
        return hmac.new(self._key, f"{use}:{content}".encode(), hashlib.sha256).hexdigest()


def read_session_key(folder: Path, *, password_hash: str) -> SessionKey:
    """Key of the store's folder, which is made at the first time, and only its owner can read.

    Raises
    ------
    OutputError
        If it can neither be read nor written.
    """
    file = folder / _KEY_FILE
    try:
        file.touch(mode=0o600)
        key = file.read_bytes()
        if len(key) != _KEY_BYTES:  # new, or cut short by a crash
            key = secrets.token_bytes(_KEY_BYTES)
            file.write_bytes(key)
    except OSError as error:
        raise OutputError(f"{file}: {error.strerror or error}") from None
    return SessionKey(key, password_hash)
