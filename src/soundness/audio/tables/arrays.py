"""Arrays in files of NumPy and MATLAB."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from soundness.audio.tables.columns import Table, as_columns

__all__ = ["read_matlab", "read_numpy"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_LOCK = threading.Lock()  # NumPy parses headers with ast.literal_eval, which is not thread-safe in Python 3.11


def read_numpy(file: BinaryIO) -> Table:
    """Read a .npy or .npz file; objects in it, which are pickled, are refused."""
    file.seek(0)
    with _LOCK:
        found = np.load(file, allow_pickle=False)
        arrays = {"array": found} if isinstance(found, np.ndarray) else dict(found.items())
    return _table(arrays)


def read_matlab(file: BinaryIO, path: Path) -> Table:
    """Read a .mat file of any version; from 7.3 on they are HDF5, which pymatreader reads."""
    file.seek(0)
    head = file.read(520)
    file.seek(0)
    if _HDF5 in (head[:8], head[512:520]):
        from pymatreader import read_mat

        found = _flat(read_mat(str(path), ignore_fields=["#refs#"]))
        return _table({name: found[name] for name in sorted(found)})  # it keeps no order
    from scipy.io import loadmat  # type: ignore[import-untyped]  # it ships no types
    from scipy.io.matlab import MatReadError  # type: ignore[import-untyped]  # likewise

    try:
        return _table(_flat(loadmat(file, simplify_cells=True)))
    except MatReadError as error:
        raise ValueError(str(error)) from error


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, NDArray[np.generic]]:
    """Arrays of a tree by their names, with points between those of structures and of their fields."""
    found: dict[str, NDArray[np.generic]] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        elif not name.startswith("__") and isinstance(value, (np.ndarray, np.generic, int, float)):
            found[f"{prefix}{name}"] = np.asarray(value)
    return found


def _table(arrays: Mapping[str, NDArray[np.generic]]) -> Table:
    columns: dict[str, NDArray[np.generic]] = {}
    for name, values in arrays.items():
        columns |= as_columns(name, np.asarray(values))
    return Table(columns=columns)
