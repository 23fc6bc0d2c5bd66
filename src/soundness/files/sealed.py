"""Files with a first line that says what they are, a checksum, arrays and JSON."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from soundness.errors import BundleError, SettingsError
from soundness.files.atomic import write_whole
from soundness.files.stored_values import json_values
from soundness.plain_text import printable
from soundness.regular_files import open_regular

if TYPE_CHECKING:
    from torch import nn
from soundness.plain_text import stored_text

__all__ = [
    "FORMATS",
    "SUFFIX",
    "check_format",
    "check_kind",
    "read_sealed",
    "rebuilt_network",
    "this_version_reads",
    "write_sealed",
]

FORMATS = {"detector": 9, "separator": 3}
"""Version of each kind of file; a file of another one is refused."""

SUFFIX = ".soundness"

Network = TypeVar("Network", bound="nn.Module")

_LONGEST_FIRST_LINE = 256
_LONGEST_NUMBER = 18  # digits
_LONGEST_SHOWN = 200


@contextmanager
def this_version_reads(path: Path) -> Iterator[None]:
    """Turn an error while the content of an intact file is rebuilt into a `BundleError` of one line."""
    try:
        yield
    except BundleError as error:
        raise error if error.path is not None else BundleError(error.reason, path=path) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = printable(".".join(map(str, first["loc"])))[:_LONGEST_SHOWN]
        reason = f"its settings do not fit this version of soundness: {key}: {first['msg'][:_LONGEST_SHOWN]}"
        raise BundleError(reason, path=path) from None
    except KeyError as error:
        reason = f"needs a part that this version of soundness lacks: {printable(str(error.args[0]))[:_LONGEST_SHOWN]}"
        raise BundleError(reason, path=path) from None
    except MemoryError:
        raise BundleError("asks for more memory than there is", path=path) from None
    except (SettingsError, RuntimeError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise BundleError(f"does not fit this version of soundness: {line}", path=path) from None


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
    payload = save(contiguous, metadata={"soundness": json.dumps(stored_text(about))})
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
        with open_regular(path) as file:
            first_line = file.readline(_LONGEST_FIRST_LINE)
            number, n_bytes, digest = _sealed_as(path, first_line.removesuffix(b"\n"), kind=kind)
            check_format(kind, number, file=f"{path}:")
            n_there = os.fstat(file.fileno()).st_size - len(first_line)
            payload = b"" if n_there != n_bytes else file.read(n_bytes)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}; expected a {kind}") from None
    except MemoryError:
        raise BundleError(f"{path}: {n_there:,} bytes, more than there is memory for") from None
    if len(payload) != n_bytes:
        raise BundleError(f"{path}: cut short: {n_there:,} bytes of {n_bytes:,} are there")
    if hashlib.sha256(payload).hexdigest() != digest:
        raise BundleError(f"{path}: altered since it was written: its checksum does not fit")
    return _unpacked(path, payload)


def _sealed_as(path: Path, first_line: bytes, *, kind: str) -> tuple[int, int, str]:
    """Format, number of bytes and checksum from the first line of a file."""
    words = first_line[:_LONGEST_FIRST_LINE].decode("ascii", errors="replace").split(" ")
    numbers = words[2:4]
    is_sealed = len(words) == 5 and words[0] == "soundness"
    if not is_sealed or not all(word.isdecimal() and len(word) <= _LONGEST_NUMBER for word in numbers):
        raise BundleError(f"{path}: not a {kind} of soundness")
    if words[1] != kind:
        raise BundleError(f"{path}: holds a {printable(words[1])}; expected a {kind}")
    return int(words[2]), int(words[3]), words[4]


def check_format(kind: str, found: object, *, file: str) -> None:
    """Refuse another format than that of this version; ``file`` begins the message."""
    if found != FORMATS[kind] or not isinstance(found, int):
        if not isinstance(found, int):
            raise BundleError(f"{file} no format that soundness knows")
        remedy = "train it anew" if found < FORMATS[kind] else "a newer one reads it"
        raise BundleError(f"{file} format {found}; this version of soundness reads format {FORMATS[kind]}: {remedy}")


def _unpacked(path: Path, payload: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    from safetensors import SafetensorError  # part of the extra `train`
    from safetensors.numpy import load

    try:
        arrays = load(payload)
        header = json_values(payload[8 : 8 + int.from_bytes(payload[:8], "little")])
        about = json_values(header["__metadata__"]["soundness"])
    except BundleError as error:
        raise BundleError(error.reason, path=path) from None
    except (SafetensorError, ValueError, KeyError) as error:  # also a type that NumPy lacks
        line = (str(error).splitlines() or [""])[0][:_LONGEST_SHOWN]
        raise BundleError(f"not a readable safetensors file: {line}", path=path) from None
    if not isinstance(about, dict):
        raise BundleError("its description is no JSON object", path=path)
    return about, arrays


def rebuilt_network(build: "Callable[[], Network]", arrays: Mapping[str, NDArray[Any]]) -> "Network":
    """Network with weights from a file, for which no more memory is taken than the file has weights.

    Parameters
    ----------
    build
        Makes the network without its weights.
    arrays
        Weights, by name.

    Raises
    ------
    BundleError
        If a weight is missing, or of another type or shape than the network's, or is no finite number.
    """
    import torch  # part of the extra `train`

    with torch.device("meta"):  # sizes alone
        expected = {name: (tuple(each.shape), each.dtype) for name, each in build().state_dict().items()}
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    for name, (shape, _) in expected.items():
        if shape == () and name in tensors and tensors[name].shape == (1,):  # a file has no array of no axis
            tensors[name] = tensors[name][0]
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors or name not in expected:
            raise BundleError(f"array {name}: is {'missing' if name in expected else 'no part of the network'}")
        shape, dtype = expected[name]
        if tuple(tensors[name].shape) != shape or tensors[name].dtype != dtype:
            came = f"{tensors[name].dtype} of {tuple(tensors[name].shape)}"
            raise BundleError(f"array {name}: {dtype} of shape {shape} is expected; {came} came")
        if not torch.isfinite(tensors[name]).all():
            raise BundleError(f"array {name}: holds what is no finite number")
    network = build()
    network.load_state_dict(tensors)
    return network
