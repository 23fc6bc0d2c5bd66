"""Options in the addresses of sources."""

import math
from collections.abc import Mapping

from soundness.errors import SettingsError

__all__ = ["check_known", "number", "switch"]


def check_known(options: Mapping[str, str], known: Mapping[str, object] | tuple[str, ...], *, scheme: str) -> None:
    """Make sure that every option is known.

    Raises
    ------
    SettingsError
        If one is not; the message names it.
    """
    for name in options:
        if name not in known:
            raise SettingsError(f"{scheme}: unknown option {name!r}; known: {', '.join(known) or 'none'}")


def number(options: Mapping[str, str], name: str, default: float, *, least: float = 0.0, scheme: str) -> float:
    """Number of an option, or its default.

    Raises
    ------
    SettingsError
        If it is no finite number of ``least`` or more.
    """
    text = options.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= least):
        raise SettingsError(f"{scheme}: {name}={text}; expected a number of {least:g} or more")
    return value


def switch(options: Mapping[str, str], name: str, *, scheme: str) -> bool:
    """True if an option is ``true``, false if it is ``false`` or not there.

    Raises
    ------
    SettingsError
        If it is neither.
    """
    text = options.get(name, "false")
    if text not in ("true", "false"):
        raise SettingsError(f"{scheme}: {name}={text}; expected true or false")
    return text == "true"
