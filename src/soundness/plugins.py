"""Parts of a system by name: those of the package, and a user's own by import path, checked against its role."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from soundness.errors import SettingsError

__all__ = ["ALLOWED_VARIABLE", "check_allowed", "find_part", "methods_of"]

ALLOWED_VARIABLE = "SOUNDNESS_PARTS"
"""Environment variable: modules, with commas between, that a detector's file may have imported."""


def find_part(name: str, known: Mapping[str, Any], *, key: str, methods: Mapping[str, Any]) -> Any:
    """Find the part of a name, or the class of an import path.

    Parameters
    ----------
    name
        A key of ``known``, or ``module:Class``.
    known
        The parts of the package, or their import paths.
    key
        The setting that names the part, for messages.
    methods
        Methods that a user's class must have, by name, each with the signature of the one here.

    Raises
    ------
    SettingsError
        If there is no such part, or the class does not fit the role; the message says what it lacks.
    """
    if name in known:
        return _of_the_package(known[name]) if isinstance(known[name], str) else known[name]
    if ":" not in name:
        raise SettingsError(f"{key}: no {name!r}; there are {', '.join(known)}, or a class of your own, module:Class")
    part = _imported(name, key=key)
    missing = [method for method in methods if not callable(getattr(part, method, None))]
    if missing:
        raise SettingsError(f"{key}: {name} lacks {', '.join(missing)}; its role needs {', '.join(methods)}")
    for method, example in methods.items():
        if not _accepts(getattr(part, method), example):
            raise SettingsError(f"{key}: {name}: {method} is called as {method}{inspect.signature(example)}")
    return part


def methods_of(protocol: type) -> dict[str, Any]:
    """The public methods of a protocol, by name."""
    return {
        name: getattr(protocol, name)
        for name, value in vars(protocol).items()
        if not name.startswith("_") and (callable(value) or isinstance(value, classmethod))
    }


def check_allowed(names: Iterable[str]) -> None:
    """Refuse to import the parts that a file names, unless they were imported before or the environment allows it.

    A file may come from anybody, and importing a module runs it.

    Raises
    ------
    SettingsError
        If a name is an import path whose module is neither; the message says what allows it.
    """
    allowed = {module.strip() for module in os.environ.get(ALLOWED_VARIABLE, "").split(",")}
    for name in names:
        module = name.partition(":")[0]
        if ":" in name and module not in sys.modules and module not in allowed:
            raise SettingsError(
                f"it needs {name}, which is not part of soundness: import {module} first, or set "
                f"{ALLOWED_VARIABLE}={module} if you trust it"
            )


def _of_the_package(path: str) -> Any:
    """Object of an import path of the package; if that fails, it is no fault of the settings."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _imported(path: str, *, key: str) -> type:
    module, _, name = path.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise SettingsError(f"{key}: {path!r} is no import path; expected module:Class")
    try:
        part = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise SettingsError(f"{key}: {path}: {error}; its folder must be installed or in PYTHONPATH") from None
    if not isinstance(part, type):
        raise SettingsError(f"{key}: {path}: no class {name} in {module}")
    return part


def _accepts(own: Callable[..., Any], example: Callable[..., Any]) -> bool:
    """True if a function can be called with the arguments of another."""
    parameters = inspect.signature(example).parameters.values()
    positional = [None for parameter in parameters if parameter.kind is not parameter.KEYWORD_ONLY]
    named = {parameter.name: None for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY}
    try:
        inspect.signature(own).bind(*positional, **named)
    except (TypeError, ValueError):  # it cannot, or has no signature
        return False
    return True
