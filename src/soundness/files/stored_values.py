"""Values and arrays from files, which are taken only with the type, shape and range that is expected of them.

Anybody can write a file, and a checksum that fits it. So a file is trusted in nothing: not in a type, nor in a size.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from soundness.aliases import Array
from soundness.errors import BundleError
from soundness.plain_text import printable

__all__ = [
    "Finite",
    "MachineName",
    "NotNegative",
    "NotNegativeInt",
    "Note",
    "PositiveFinite",
    "Rate",
    "Seconds",
    "arrays_below",
    "flags",
    "floats",
    "indices",
    "integers",
    "json_values",
    "machine_name_problem",
    "stored_value",
]

_LONGEST_NAME = 180  # bytes: a file's name has 255, and those of scores add up to 40
_LARGEST = 1e60  # its square times the number of features is a number, too
_LONGEST_SHOWN = 80

Value = TypeVar("Value")

Shape = tuple[int | None, ...]
"""Sizes of an array; ``None`` where any size will do but 0."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
PositiveFinite = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
NotNegativeInt = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0.0, le=1.0)]
"""Share or p-value above 0."""
Seconds = Annotated[float, Field(ge=0.02, le=1e6)]
"""Length of a recording: with less, a long one would be cut into millions of parts."""
Note = Annotated[str, Field(max_length=4_000)]
"""Text for the user."""


def machine_name_problem(name: str) -> str:
    """Reason why no machine can have a name, which becomes part of the names of files; empty where one can."""
    if name.strip() in ("", ".", "..") or any(letter in name for letter in "/\\"):
        return "is no name of a file"
    if not name.isprintable():
        return "holds characters that cannot be shown"
    if len(name.encode()) > _LONGEST_NAME:
        return f"is longer than {_LONGEST_NAME} bytes"
    return ""


def _checked_name(name: str) -> str:
    if problem := machine_name_problem(name):
        raise ValueError(f"a name of a machine is expected; this one {problem}")
    return name


MachineName = Annotated[str, AfterValidator(_checked_name)]
"""Name of a machine, which becomes part of the names of files."""


def json_values(text: bytes | str) -> Any:
    """Plain values of JSON, however deep it is nested.

    Raises
    ------
    BundleError
        If it is none, or nested too deep.
    """
    try:
        return from_json(text)
    except ValueError as error:
        raise BundleError(f"no JSON: {str(error)[:_LONGEST_SHOWN]}") from None


def stored_value(kind: type[Value], value: Any, *, name: str) -> Value:
    """Make a record, a data class or a model, of plain values; no type is converted, and each range is checked.

    Parameters
    ----------
    kind
        Class of the record; its annotations say what its fields may hold.
    value
        Plain values, as JSON has them.
    name
        Name of the value in messages.

    Raises
    ------
    BundleError
        If a field is missing, or of another type or range; the message names the first.
    """
    try:
        adapter = _ADAPTERS.get(kind) or _ADAPTERS.setdefault(kind, TypeAdapter(kind))
        found: Value = adapter.validate_json(to_json(value, inf_nan_mode="constants"), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = printable(".".join((name, *map(str, first["loc"]))))[:_LONGEST_SHOWN]
        message = first["msg"].removeprefix("Value error, ")
        raise BundleError(f"{key}: {message}; {_shown(first['input'])} came") from None
    except ValueError as error:  # of values that JSON does not have, such as half of a surrogate pair
        raise BundleError(f"{name}: {str(error)[:_LONGEST_SHOWN]!r}") from None
    return found


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}  # to make one takes a millisecond


def _shown(value: Any) -> str:
    """Value in a message, in one line and shortened."""
    text = ascii(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def floats(
    arrays: Mapping[str, NDArray[Any]],
    name: str,
    shape: Shape,
    *,
    single: bool = False,
    low: float = -_LARGEST,
    high: float = _LARGEST,
) -> NDArray[Any]:
    """Array of numbers between two, float64, or float32 where ``single``.

    Raises
    ------
    BundleError
        If it is not there, or of another type or shape, or a number lies outside or is none.
    """
    found = _taken(arrays, name, shape, np.dtype(np.float32 if single else np.float64))
    if found.size and not (float(found.min()) >= low and float(found.max()) <= high):  # false for NaN, too
        raise BundleError(f"array {name}: holds {_worst(found, high)}; numbers of {low:g} to {high:g} are expected")
    return found


def indices(arrays: Mapping[str, NDArray[Any]], name: str, shape: Shape, *, below: int, low: int = 0) -> NDArray[Any]:
    """Array of int64 of ``low`` or more and below a number; see `floats`."""
    found = _taken(arrays, name, shape, np.dtype(np.int64))
    if found.size and not (found.min() >= low and found.max() < below):
        raise BundleError(
            f"array {name}: holds {_worst(found, below - 1)}; numbers of {low} to {below - 1} are expected"
        )
    return found


def flags(arrays: Mapping[str, NDArray[Any]], name: str, shape: Shape) -> NDArray[np.bool_]:
    """Array of true and false; see `floats`."""
    return _taken(arrays, name, shape, np.dtype(np.bool_))


def integers(arrays: Mapping[str, NDArray[Any]], name: str, shape: Shape, kind: type[np.integer[Any]]) -> NDArray[Any]:
    """Array of any integers of a type; see `floats`."""
    return _taken(arrays, name, shape, np.dtype(kind))


def _taken(arrays: Mapping[str, NDArray[Any]], name: str, shape: Shape, dtype: np.dtype[Any]) -> NDArray[Any]:
    if name not in arrays:
        raise BundleError(f"array {name}: is missing")
    found = arrays[name]
    fits = len(found.shape) == len(shape) and all(
        came > 0 if size is None else came == size for came, size in zip(found.shape, shape, strict=True)
    )
    if found.dtype != dtype or not fits:
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise BundleError(f"array {name}: {dtype} of shape ({sizes}) is expected; {found.dtype} of {found.shape} came")
    return found


def _worst(found: Array, high: float) -> str:
    smallest, largest = float(found.min()), float(found.max())
    return f"{largest if largest > high else smallest:g}"


def arrays_below(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays whose names begin with a prefix and a dot, by the rest of their names."""
    start = f"{prefix}."
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
