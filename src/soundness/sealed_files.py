"""Files with a first line that says what they are, a checksum, arrays and JSON."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from soundness.atomic_files import write_whole
from soundness.errors import BundleError, SettingsError
from soundness.regular_files import open_regular, read_regular

__all__ = [
    "FORMATS",
    "SUFFIX",
    "arrays_below",
    "check_format",
    "check_kind",
    "read_sealed",
    "this_version_reads",
    "write_sealed",
]

FORMATS = {"detector": 9, "separator": 3}
"""Version of each kind of file; a file of another one is refused."""

SUFFIX = ".soundness"

_LONGEST_FIRST_LINE = 256


@contextmanager
def this_version_reads(path: Path) -> Iterator[None]:
    """Turn an error while the content of an intact file is rebuilt into a `BundleError` of one line."""
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BundleError(f"{path}: its settings do not fit this version of soundness: {first['msg']}") from None
    except (SettingsError, RuntimeError, TypeError) as error:
        line = str(error).splitlines()[0]
        raise BundleError(f"{path}: does not fit this version of soundness: {line}") from None
    except KeyError as error:
        raise BundleError(f"{path}: needs a part that this version of soundness lacks: {error}") from None


def write_sealed(path: Path, *, kind: str, about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a file; it is there whole or not at all.

    Parameters
    ----------
    path
        The file.
    kind
        A key of `FORMATS`.
    about
        Plain values, kept as JSON.
    arrays
        Arrays by name.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from safetensors.numpy import save  # part of the extra `train`

    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    payload = save(contiguous, metadata={"soundness": json.dumps(about)})
    first_line = f"soundness {kind} {FORMATS[kind]} {len(payload)} {hashlib.sha256(payload).hexdigest()}\n"
    write_whole(path, first_line.encode("ascii") + payload)


def check_kind(path: Path, kind: str) -> None:
    """Refuse a file of another kind than expected; its format and checksum are not read, for it is to be replaced.

    Raises
    ------
    BundleError
        If it cannot be read, or holds something else.
    """
    try:
        with open_regular(path) as file:
            _sealed_as(path, file.read(_LONGEST_FIRST_LINE).partition(b"\n")[0], kind=kind)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}; expected a {kind}") from None


def read_sealed(path: Path, *, kind: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read a file of a kind: its plain values and its arrays.

    Raises
    ------
    BundleError
        If it cannot be read, holds something else, is of another format, or was cut or altered.
    """
    try:
        content = read_regular(path)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}; expected a {kind}") from None
    first_line, _, payload = content.partition(b"\n")
    number, n_bytes, digest = _sealed_as(path, first_line, kind=kind)
    check_format(kind, number, file=f"{path}:")
    if len(payload) != n_bytes:
        raise BundleError(f"{path}: cut short: {len(payload):,} bytes of {n_bytes:,} are there")
    if hashlib.sha256(payload).hexdigest() != digest:
        raise BundleError(f"{path}: altered since it was written: its checksum does not fit")
    return _unpacked(path, payload)


def _sealed_as(path: Path, first_line: bytes, *, kind: str) -> tuple[int, int, str]:
    """Format, number of bytes and checksum from the first line of a file."""
    words = first_line[:_LONGEST_FIRST_LINE].decode("ascii", errors="replace").split(" ")
    if len(words) != 5 or words[0] != "soundness" or not words[2].isdecimal() or not words[3].isdecimal():
        raise BundleError(f"{path}: not a {kind} of soundness")
    if words[1] != kind:
        raise BundleError(f"{path}: holds a {words[1]}; expected a {kind}")
    return int(words[2]), int(words[3]), words[4]


def check_format(kind: str, found: int, *, file: str) -> None:
    """Refuse another format than that of this version; ``file`` begins the message."""
    if found != FORMATS[kind]:
        remedy = "train it anew" if found < FORMATS[kind] else "a newer one reads it"
        raise BundleError(f"{file} format {found}; this version of soundness reads format {FORMATS[kind]}: {remedy}")


def _unpacked(path: Path, payload: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    from safetensors import SafetensorError  # part of the extra `train`
    from safetensors.numpy import load

    try:
        arrays = load(payload)
        header = json.loads(payload[8 : 8 + int.from_bytes(payload[:8], "little")])
        return json.loads(header["__metadata__"]["soundness"]), arrays
    except (SafetensorError, ValueError, KeyError) as error:
        raise BundleError(f"{path}: not a readable safetensors file: {error}") from None


def arrays_below(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays whose names begin with a prefix and a dot, by the rest of their names."""
    start = f"{prefix}."
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
