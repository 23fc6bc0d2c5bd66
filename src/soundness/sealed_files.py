"""Files with a first line that says what they are, a checksum, arrays and JSON."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from soundness.errors import BundleError, OutputError, SettingsError

if TYPE_CHECKING:  # loads PyTorch
    pass

__all__ = ["FORMATS", "SUFFIX", "check_kind"]

FORMATS = {"detector": 8, "separator": 3}


SUFFIX = ".soundness"


_LONGEST_FIRST_LINE = 256


@contextmanager
def this_version_reads(path: Path) -> Iterator[None]:
    """What an intact file holds, and this version cannot make sense of, is one line that says so."""
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
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    payload = save_arrays(contiguous, metadata={"soundness": json.dumps(about)})
    first_line = f"soundness {kind} {FORMATS[kind]} {len(payload)} {hashlib.sha256(payload).hexdigest()}\n"
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(first_line.encode("ascii") + payload)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def check_kind(path: Path, kind: str) -> None:
    """Refuse a file that is not of a kind. Its format, and whether it is whole, do not matter: it is to be replaced.

    Raises
    ------
    BundleError
        If it cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as file:
            _sealed_as(path, file.read(_LONGEST_FIRST_LINE).partition(b"\n")[0], kind=kind)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}; expected a {kind}") from None


def read_sealed(path: Path, *, kind: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    try:
        content = path.read_bytes()
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
    """Format, number of bytes and checksum, as the first line of a file of a kind says."""
    words = first_line[:_LONGEST_FIRST_LINE].decode("ascii", errors="replace").split(" ")
    if len(words) != 5 or words[0] != "soundness" or not words[2].isdecimal() or not words[3].isdecimal():
        raise BundleError(f"{path}: not a {kind} of soundness")
    if words[1] != kind:
        raise BundleError(f"{path}: holds a {words[1]}; expected a {kind}")
    return int(words[2]), int(words[3]), words[4]


def check_format(kind: str, found: int, *, file: str) -> None:
    if found != FORMATS[kind]:
        remedy = "train it anew" if found < FORMATS[kind] else "a newer one reads it"
        raise BundleError(f"{file} format {found}; this version of soundness reads format {FORMATS[kind]}: {remedy}")


def _unpacked(path: Path, payload: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    try:
        arrays = load_arrays(payload)
        header = json.loads(payload[8 : 8 + int.from_bytes(payload[:8], "little")])
        return json.loads(header["__metadata__"]["soundness"]), arrays
    except (SafetensorError, ValueError, KeyError) as error:
        raise BundleError(f"{path}: not a readable safetensors file: {error}") from None


def arrays_below(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    start = f"{prefix}."
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
