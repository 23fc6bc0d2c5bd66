"""Arrays in files of NumPy."""

import threading
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from soundness.audio.tables.columns import Table, as_columns

__all__ = ["read_numpy"]

_LOCK = threading.Lock()  # NumPy parses headers with ast.literal_eval, which is not thread-safe in Python 3.11


def read_numpy(file: BinaryIO) -> Table:
    """Read a .npy or .npz file, of structured arrays field by field; objects, which are pickled, are refused."""
    file.seek(0)
    with _LOCK:
        found = np.load(file, allow_pickle=False)
        arrays = {"array": found} if isinstance(found, np.ndarray) else dict(found.items())
    return _table(arrays)


def _table(arrays: Mapping[str, NDArray[Any]]) -> Table:
    columns: dict[str, NDArray[np.generic]] = {}
    for name, values in arrays.items():
        fields = {name: values} if values.dtype.names is None else {own: values[own] for own in values.dtype.names}
        for own, column in fields.items():
            columns |= as_columns(own, np.asarray(column))
    return Table(columns=columns)
