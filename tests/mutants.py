"""Mutants of files: of their bytes, and of what is in them, sealed again as if somebody had made them so."""

import copy
import json
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from safetensors.numpy import save as save_arrays

from resealed import sealed

_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_TEXTS = (
    "",
    "x" * 300,
    "a\0b",
    "a\nb",
    "\ud800",
    "../../x",
    "/",
    "..",
    "=1+1",
    "\x1b[2J",
    "1e400",
    "nan",
    "²",
    "9" * 5000,
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 3, 5, 1000, 10**6, 10**9, 2**31, 2**63, -(2**63), 10**80, 1e308, -1e308, 1e-320),
    *(0.5, -0.5, 1.5, math.nan, math.inf, -math.inf, [], {}, [None], [[]], {"a": 1}, [1, 2, 3], {"": []}),
    *_TEXTS,
)
_TOKENS = (
    b"",
    b"nan",
    b"inf",
    b"-1",
    b"1e999",
    b"\x00",
    b"\xff\xfe",
    b'"',
    b",,",
    b"\r",
    b"\n",
    b";",
    b"9" * 30,
    b"\\",
)


def mutated_bytes(content: bytes, rng: random.Random, other: bytes = b"") -> bytes:
    """Content with one to four changes: bits, numbers, parts removed, doubled, exchanged, or taken from another."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        _CHANGES[rng.randrange(len(_CHANGES))](found, rng, other)
    return bytes(found)


def _place(found: bytearray, rng: random.Random) -> int:
    """Any place, those at the start (headers) more often."""
    n = len(found) or 1
    return rng.randrange(min(n, 128)) if rng.random() < 0.6 else rng.randrange(n)


def _flip(found: bytearray, rng: random.Random, _: bytes) -> None:
    if found:
        found[_place(found, rng)] ^= 1 << rng.randrange(8)


def _overwrite(found: bytearray, rng: random.Random, _: bytes) -> None:
    place, size = _place(found, rng), rng.choice((1, 2, 4, 8))
    number = rng.choice(_NUMBERS) & ((1 << (8 * size)) - 1)
    found[place : place + size] = number.to_bytes(size, rng.choice(("little", "big")))


def _cut(found: bytearray, rng: random.Random, _: bytes) -> None:
    del found[_place(found, rng) :]


def _remove(found: bytearray, rng: random.Random, _: bytes) -> None:
    place = _place(found, rng)
    del found[place : place + rng.choice((1, 2, 4, 16, 64, 1024))]


def _double(found: bytearray, rng: random.Random, _: bytes) -> None:
    place = _place(found, rng)
    found[place:place] = found[place : place + rng.choice((1, 4, 16, 256))]


def _insert(found: bytearray, rng: random.Random, _: bytes) -> None:
    place = _place(found, rng)
    found[place:place] = rng.choice(_TOKENS) if rng.random() < 0.5 else rng.randbytes(rng.choice((1, 4, 16)))


def _splice(found: bytearray, rng: random.Random, other: bytes) -> None:
    if other:
        found[_place(found, rng) :] = other[rng.randrange(len(other)) :]


def _fill(found: bytearray, rng: random.Random, _: bytes) -> None:
    place, size = _place(found, rng), rng.choice((4, 16, 64))
    found[place : place + size] = bytes([rng.choice((0, 0x20, 0xFF))]) * size


_CHANGES: tuple[Callable[[bytearray, random.Random, bytes], None], ...] = (
    _flip, _overwrite, _overwrite, _cut, _remove, _double, _insert, _splice, _fill,
)  # fmt: skip


def mutated_text(content: bytes, rng: random.Random) -> bytes:
    """Text with a number, a word or a line changed, or its bytes."""
    if rng.random() < 0.4:
        return mutated_bytes(content, rng)
    lines = content.split(b"\n")
    place = rng.randrange(len(lines))
    for mark in (b",", b"=", b" "):
        if mark in lines[place] and rng.random() < 0.7:
            cells = lines[place].split(mark)
            value = rng.choice(_VALUES)
            text = json.dumps(value) if rng.random() < 0.5 else str(value)
            cells[rng.randrange(len(cells))] = text.encode("utf-8", "surrogatepass")
            lines[place] = mark.join(cells)
            return b"\n".join(lines)
    change = rng.randrange(4)
    if change == 0:
        del lines[place]
    elif change == 1:
        lines.insert(place, lines[place])
    elif change == 2:
        lines[place] = lines[rng.randrange(len(lines))]
    else:
        lines[place] += rng.choice(_TOKENS) * rng.choice((1, 100))
    return b"\n".join(lines)


def mutated_json(tree: Any, rng: random.Random) -> Any:
    """A tree of JSON with one or two nodes replaced, removed, renamed, added or nested."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 2))):
        holders = [node for node in _nodes(tree) if node]
        if not holders:
            return rng.choice(_VALUES)
        holder = rng.choice(holders)
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        change = rng.randrange(8)
        if change == 0:
            del holder[key]
        elif change == 1 and isinstance(holder, dict):
            holder[rng.choice(_TEXTS)] = holder[key]
        elif change == 2 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = holder[key] * rng.choice((-1, 2, 1000, 1e-6)) + rng.choice((0, 1))
        elif change == 3:
            holder[key] = [holder[key]] if rng.random() < 0.5 else {"x": holder[key]}
        else:
            holder[key] = copy.deepcopy(rng.choice(_VALUES))
    return tree


def _nodes(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict | list):
        yield tree
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from _nodes(value)


def mutated_arrays(arrays: dict[str, np.ndarray], rng: random.Random) -> dict[str, np.ndarray]:
    """Arrays of which one is missing, renamed, cut, reshaped, of another type, or holds strange numbers."""
    found = dict(arrays)
    name = rng.choice(list(found))
    array = found[name]
    change = rng.randrange(9)
    if change == 0:
        del found[name]
    elif change == 1:
        found[f"{name}{rng.choice(_TEXTS[:3])}x"] = found.pop(name)
    elif change == 2:
        found[name] = array.reshape(-1)
    elif change == 3:
        found[name] = array[: rng.randrange(len(array))] if array.ndim and len(array) else np.zeros(3)
    elif change == 4:
        found[name] = np.concatenate([array, array]) if array.ndim else np.zeros((2, 2))
    elif change == 5:
        kind = rng.choice((np.float32, np.float64, np.int64, np.int8, np.bool_, np.float16))
        with np.errstate(all="ignore"):
            found[name] = array.astype(kind)
    elif change == 6:
        found[name] = np.swapaxes(array, 0, -1)[..., None] if array.ndim else array[None]
    elif change == 7:
        found[name] = np.zeros_like(array)
    else:
        found[name] = _with_strange_numbers(array, rng)
    return found


def _with_strange_numbers(array: np.ndarray, rng: random.Random) -> np.ndarray:
    flat = array.copy().reshape(-1)
    if flat.size == 0:
        return array
    place = rng.randrange(flat.size)
    if flat.dtype.kind == "f":
        flat[place] = rng.choice((np.nan, np.inf, -np.inf, 1e38, -1e38, 1e-38))
    elif flat.dtype.kind in "iu":
        flat[place] = rng.choice((1, 100, np.iinfo(flat.dtype).min, np.iinfo(flat.dtype).max))
    else:
        flat[place] = not flat[place]
    return flat.reshape(array.shape)


def mutated_sealed(
    about: dict[str, Any], arrays: dict[str, np.ndarray], rng: random.Random, *, kind: str = "detector"
) -> bytes:
    """A sealed file whose metadata, arrays, header or bytes were changed, mostly with a checksum that fits."""
    choice = rng.random()
    if choice < 0.55:
        about = mutated_json(about, rng)
    elif choice < 0.9:
        arrays = mutated_arrays(arrays, rng)
    text = json.dumps(about)
    if choice > 0.98:
        text = rng.choice(("[" * 200_000, '{"a":' * 100_000, "{", "[]", "null", "1" * 10_000, "\0"))
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    payload = save_arrays(contiguous, metadata={"soundness": text})
    if 0.9 <= choice < 0.95:
        return sealed(mutated_bytes(payload, rng), kind=kind)
    if 0.95 <= choice < 0.98:
        return mutated_bytes(sealed(payload, kind=kind), rng)
    return sealed(payload, kind=kind)
