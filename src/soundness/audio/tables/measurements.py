"""Files of measuring systems and data bases: HDF5, Parquet, TDMS and universal files."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from soundness.audio.tables.columns import Table, as_columns
from soundness.errors import AudioError, UnreadableError

__all__ = ["read_hdf5", "read_parquet", "read_tdms", "read_universal"]

_RATE_KEYS = ("sample_rate", "sampling_rate", "samplerate", "sampling_frequency", "fs", "rate", "sr")
_STEP_KEYS = ("dx", "dt", "wf_increment", "increment")
_SET_LINE = b"    -1"  # before and behind each data set
_MEASURED = 58  # kind of a universal data set: a function at nodal points
_TIME_RESPONSE = 1


def read_hdf5(file: BinaryIO) -> Table:
    """Read the data sets of an HDF5 file, with the rates and scales in their attributes."""
    import h5py  # type: ignore[import-untyped]  # it ships no types

    columns: dict[str, NDArray[np.generic]] = {}
    rates: dict[str, float] = {}
    with h5py.File(file, "r") as opened:
        common = _rate_of(opened.attrs)

        def take(name: str, item: Any) -> None:
            if (
                not isinstance(item, h5py.Dataset)
                or item.dtype.kind not in "biuf"
                or item.ndim > 2
                or item.shape is None
            ):
                return
            if item.is_virtual or item.external:
                raise AudioError(f"the data set {name} lies in other files, which are not read")
            scale, offset = item.attrs.get("scale_factor"), item.attrs.get("add_offset")
            values = np.asarray(item[()])
            if scale is not None or offset is not None:
                values = values * float(1 if scale is None else scale) + float(0 if offset is None else offset)
            own = as_columns(name, values)
            columns.update(own)
            rate = _rate_of(item.attrs) or _rate_of(item.parent.attrs)
            if rate is not None:
                rates.update(dict.fromkeys(own, rate))

        opened.visititems(take)
    return Table(columns=columns, rates=rates, rate=common)


def read_parquet(file: BinaryIO) -> Table:
    """Read the columns of numbers and times of a Parquet file, and a rate in its metadata."""
    from pyarrow import parquet, types  # type: ignore[import-untyped]  # likewise

    table = parquet.read_table(file)
    columns = {
        name: column.to_numpy()
        for name, column in zip(table.column_names, table.columns, strict=True)
        if types.is_integer(column.type) or types.is_floating(column.type) or types.is_timestamp(column.type)
    }
    stated = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items() if len(value) < 100}
    return Table(columns=columns, rate=_rate_of(stated))


def read_tdms(file: BinaryIO) -> Table:
    """Read the channels of a TDMS file, scaled as their properties say, with their rates."""
    from nptdms import TdmsFile  # type: ignore[import-untyped]  # likewise

    _check_segments(file)
    logging.getLogger("nptdms").setLevel(logging.ERROR)  # it prints what it goes on with
    columns: dict[str, NDArray[np.generic]] = {}
    rates: dict[str, float] = {}
    for group in TdmsFile.read(file).groups():
        for channel in group.channels():
            name = f"{group.name}/{channel.name}"
            columns[name] = np.asarray(channel[:])
            rate = _rate_of(channel.properties)
            if rate is not None:
                rates[name] = rate
    return Table(columns=columns, rates=rates)


def read_universal(file: BinaryIO, path: Path) -> Table:
    """Read the time responses of a universal file (.uff, .unv)."""
    from pyuff import UFF  # type: ignore[import-untyped]  # likewise

    columns: dict[str, NDArray[np.generic]] = {}
    rates: dict[str, float] = {}
    file.seek(0)
    if sum(line.rstrip() == _SET_LINE for line in file) % 2:
        raise UnreadableError("truncated; its last data set has no end")
    opened = UFF(str(path))
    for index, kind in enumerate(opened.get_set_types()):
        if int(kind) != _MEASURED:
            continue
        found = _universal_set(opened, index)
        if int(found["func_type"]) != _TIME_RESPONSE or np.iscomplexobj(found["data"]):
            continue
        node, direction = int(found.get("rsp_node", 0)), int(found.get("rsp_dir", 0))
        name = f"{str(found.get('id1', '')).strip() or 'response'} {node}:{direction} ({len(columns)})"
        columns[name] = np.asarray(found["data"])
        if len(columns[name]) != int(found.get("num_pts", len(columns[name]))):
            raise UnreadableError(f"truncated; a data set states {found['num_pts']} values and holds fewer")
        if found.get("abscissa_spacing") == 1 and found.get("abscissa_inc", 0) > 0:
            rates[name] = 1 / float(found["abscissa_inc"])
        elif len(times := np.asarray(found.get("x", ()))) > 1:
            rates[name] = float((len(times) - 1) / (times[-1] - times[0]))
    return Table(columns=columns, rates=rates)


def _check_segments(file: BinaryIO) -> None:
    """Refuse a TDMS file whose segments do not end with it, which nptdms would shorten."""
    end = file.seek(0, os.SEEK_END)
    position = 0
    while position < end:
        file.seek(position)
        head = file.read(28)
        if len(head) < 28 or head[:4] != b"TDSm":
            raise UnreadableError(f"damaged or truncated; from byte {position:,} on it holds no segment")
        position += 28 + int.from_bytes(head[12:20], "little")
    if position != end:
        raise UnreadableError("truncated; its last segment is not whole")
    file.seek(0)


def _universal_set(file: Any, index: int) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = file.read_sets(index)
    except Exception as error:  # pyuff raises no other at bytes that it cannot read
        if type(error) is not Exception:
            raise
        raise ValueError(str(error)) from error
    return found


def _rate_of(properties: Mapping[str, Any]) -> float | None:
    """Sample rate in Hz that properties state, or the step from one sample to the next."""
    own = {str(key).lower(): value for key, value in properties.items()}
    for keys, is_step in ((_RATE_KEYS, False), (_STEP_KEYS, True)):
        for key in keys:
            try:
                value = float(np.squeeze(own[key]))
            except (KeyError, TypeError, ValueError):
                continue
            if np.isfinite(value) and value > 0:
                return 1 / value if is_step else value
    return None
