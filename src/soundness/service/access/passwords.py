"""Passwords of the pages: hashes by argon2, and the secrets that people and programs show."""

import hmac
import threading
from dataclasses import dataclass, field

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from soundness.errors import SettingsError

__all__ = ["SHORTEST_PASSWORD", "Secrets", "hash_password"]

SHORTEST_PASSWORD = 10
_SHORTEST_TOKEN = 16
_LONGEST = 1_024

_HASHER = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)


def hash_password(password: str) -> str:
    """Hash of a password, for the configuration.

    Raises
    ------
    SettingsError
        If it is too short or too long.
    """
    if not SHORTEST_PASSWORD <= len(password) <= _LONGEST:
        raise SettingsError(
            f"a password of {len(password)} characters; expected {SHORTEST_PASSWORD} to {_LONGEST:,} of them"
        )
    return _HASHER.hash(password)


@dataclass(kw_only=True, eq=False)
class Secrets:
    """Secrets that open the service.

    Parameters
    ----------
    token
        Token of programs; ``None`` without one.
    password_hash
        Hash of the password, by argon2; ``None`` without one.

    Raises
    ------
    SettingsError
        If the token is short, or the hash is none.
    """

    token: str | None = field(default=None, repr=False)
    password_hash: str | None = field(default=None, repr=False)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock, repr=False)  # each takes 64 MB

    def __post_init__(self) -> None:
        if self.token is not None and not (len(self.token) >= _SHORTEST_TOKEN and self.token.isascii()):
            raise SettingsError(
                f"service.token: {len(self.token)} characters; expected at least {_SHORTEST_TOKEN} ASCII characters"
            )
        if self.password_hash is not None and not self.password_hash.startswith("$argon2"):
            raise SettingsError(
                "service.password: not a hash by argon2, beginning with $argon2; soundness monitor password makes one"
            )

    @property
    def is_open(self) -> bool:
        """True if nothing is asked for."""
        return self.token is None and self.password_hash is None

    def is_token(self, text: str) -> bool:
        """True for the token of programs."""
        return self.token is not None and hmac.compare_digest(text.encode(), self.token.encode())

    def is_password(self, text: str) -> bool:
        """True for the password or, where there is none, the token."""
        if len(text) > _LONGEST:
            return False
        if self.password_hash is None:
            return self.is_token(text)
        with self._one_at_a_time:
            try:
                return _HASHER.verify(self.password_hash, text)
            except (VerificationError, InvalidHashError):
                return False
