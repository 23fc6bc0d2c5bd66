"""Arrays of numbers in .mat files.

Those of version 5 to 7 are read here, with every size checked: SciPy's reader ends the process at some damaged files.
Those of 7.3 are HDF5, which pymatreader reads.
"""

import math
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from soundness.audio.tables.columns import Table, as_columns

__all__ = ["read_matlab"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HDF5_AT = 512
_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_STRUCTURE, _NUMBERS = 2, range(6, 16)  # classes of arrays
_MOST_BYTES = 2**32  # of one variable, unpacked
_MOST_LEVELS = 16

Arrays = dict[str, NDArray[np.generic]]


def read_matlab(file: BinaryIO, path: Path) -> Table:
    """Read a .mat file of version 5 or later; fields of structures have names with points between.

    Raises
    ------
    ValueError
        If it is none, or damaged.
    """
    file.seek(0)
    head = file.read(_HDF5_AT + len(_HDF5))
    if _HDF5 in (head[: len(_HDF5)], head[_HDF5_AT:]):
        from pymatreader import read_mat

        found = _flat(read_mat(str(path), ignore_fields=["#refs#"]))
        found = {name: found[name] for name in sorted(found)}  # it keeps no order
    else:
        found = _version_5(file, head)
    columns: Arrays = {}
    for name, values in found.items():
        columns |= as_columns(name, values)
    return Table(columns=columns)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Arrays:
    found: Arrays = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        elif not name.startswith("__") and isinstance(value, (np.ndarray, np.generic, int, float)):
            found[f"{prefix}{name}"] = np.asarray(value)
    return found


def _version_5(file: BinaryIO, head: bytes) -> Arrays:
    order = {b"IM": "<", b"MI": ">"}.get(head[126:128])
    if order is None:
        raise ValueError("not of MATLAB version 5 or later")
    file.seek(_HEADER_BYTES)
    found: Arrays = {}
    for kind, content in _elements(file.read(), order):
        if kind == _COMPRESSED:
            for inner, own in _elements(_unpacked(content), order):
                found |= _matrix(own, order) if inner == _MATRIX else {}
        elif kind == _MATRIX:
            found |= _matrix(content, order)
    return found


def _unpacked(content: bytes) -> bytes:
    decoder = zlib.decompressobj()
    try:
        unpacked = decoder.decompress(content, _MOST_BYTES)
    except zlib.error as error:
        raise ValueError(f"a variable cannot be unpacked ({error})") from error
    if not decoder.eof:
        raise ValueError("a variable is cut short, or larger than 4 GiB")
    return unpacked


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each element, one behind the other."""
    endian: Any = "little" if order == "<" else "big"
    position = 0
    while position + 8 <= len(content):
        kind = int.from_bytes(content[position : position + 4], endian)
        if kind >> 16:  # a small one: its size, its kind, and four bytes
            start, size, end = position + 4, kind >> 16, position + 8
            kind &= 0xFFFF
            if size > 4:
                raise ValueError("an element of more bytes than there are")
        else:
            start, size = position + 8, int.from_bytes(content[position + 4 : position + 8], endian)
            end = start + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > len(content):
            raise ValueError("truncated; an element states more bytes than there are")
        yield kind, content[start : start + size]
        position = end


def _matrix(content: bytes, order: str, prefix: str = "", level: int = 0) -> Arrays:
    """Arrays of a variable by their names; none of one that holds no numbers."""
    parts = list(_elements(content, order))
    if len(parts) < 4 or level > _MOST_LEVELS:
        return {}
    (_, flags), sizes, (_, name), *rest = parts
    name_text = prefix + name.decode("latin-1").strip("\0")
    kind = flags[0 if order == "<" else 3] if len(flags) >= 4 else 0
    shape = [int(size) for size in _numbers(sizes, order)]
    if kind in _NUMBERS and rest:
        values = _numbers(rest[0], order)
        if any(size < 0 for size in shape) or math.prod(shape) != len(values):
            raise ValueError(f"{name_text!r} states {shape} values and holds {len(values):,}")
        return {name_text: values.reshape(shape, order="F")}
    return _fields(rest, order, name_text, level) if kind == _STRUCTURE and math.prod(shape) == 1 else {}


def _fields(parts: list[tuple[int, bytes]], order: str, name: str, level: int) -> Arrays:
    if len(parts) < 2:
        return {}
    lengths, texts = _numbers(parts[0], order), parts[1][1]
    length = int(lengths[0]) if len(lengths) > 0 else 0
    if length <= 0:
        return {}
    names = [texts[at : at + length].split(b"\0")[0] for at in range(0, len(texts), length)]
    found: Arrays = {}
    for field, (kind, content) in zip(names, parts[2:], strict=False):
        own = _matrix(content, order, level=level + 1) if kind == _MATRIX else {}
        for inner, values in own.items():
            found[f"{name}.{field.decode('latin-1')}{inner}"] = values
    return found


def _numbers(part: tuple[int, bytes], order: str) -> NDArray[np.generic]:
    kind, content = part
    if kind not in _TYPES:
        raise ValueError(f"numbers of unknown kind {kind}")
    dtype = np.dtype(order + _TYPES[kind])
    return np.frombuffer(content[: len(content) // dtype.itemsize * dtype.itemsize], dtype)
