"""Versions of the detector that a sensor has learned: the file of the next one, where those before are, which stay."""

import time
from pathlib import Path
from typing import Any

from soundness.files.atomic import output_errors
from soundness.monitoring.store.records import DetectorRow
from soundness.monitoring.store.store import Store

__all__ = ["KEPT_BEFORE", "delete_old_versions", "file_of", "inherited", "is_learned", "next_file"]

KEPT_BEFORE = 5
"""Versions before the one in use that stay, one for each answer that can be undone."""

_UNUSED_SECONDS = 86_400.0  # age at which a file that is not in use is deleted: it may be in the making
_FOLDER = "detectors"


def next_file(store: Store, sensor_id: int) -> Path:
    """File of the next version of a sensor's detector, which is there and empty from now on: nobody else gets it.

    Raises
    ------
    OutputError
        If it cannot be made, or the store cannot be read.
    """
    place = store.folder / _FOLDER / f"{sensor_id}"
    names = [*place.glob("*.soundness"), *(Path(row.file) for row in store.detectors(sensor_id))]
    number = max((int(path.stem) for path in names if path.stem.isdigit()), default=0)
    with output_errors(place):
        place.mkdir(parents=True, exist_ok=True)
        while True:
            number += 1
            try:
                (place / f"{number:04d}.soundness").touch(exist_ok=False)
            except FileExistsError:  # somebody was faster
                continue
            return place / f"{number:04d}.soundness"


def file_of(store: Store, row: DetectorRow) -> Path:
    """File of a detector in the store, which may have been moved since."""
    parts = Path(row.file).parts
    return store.folder.joinpath(*parts[-3:]) if is_learned(row) else Path(row.file)


def is_learned(row: DetectorRow) -> bool:
    """True for a detector that a sensor has learned, and not one that the configuration names."""
    return Path(row.file).parts[-3:-1] == (_FOLDER, f"{row.sensor_id}")


def inherited(row: DetectorRow | None) -> dict[str, Any]:
    """Details of a detector that hold for those that are made of it, too: the levels of its learning period."""
    names = ("block_levels",)
    return {} if row is None else {name: row.details[name] for name in names if name in row.details}


def delete_old_versions(store: Store, sensor_id: int) -> None:
    """Delete the versions that a sensor has learned but for the one in use and those that answers can be undone to.

    Raises
    ------
    OutputError
        If one cannot be deleted, or the store cannot be read.
    """
    rows = {row.id: row for row in store.detectors(sensor_id)}
    row, kept = rows.get(max(rows, default=0)), set[str]()
    for _ in range(1 + KEPT_BEFORE):
        if row is not None:
            kept.add(Path(row.file).name)
            row = rows.get(int(row.details.get("parent", 0)))
    for path in (store.folder / _FOLDER / f"{sensor_id}").glob("*.soundness"):
        if path.name not in kept and time.time() - path.stat().st_mtime > _UNUSED_SECONDS:
            with output_errors(path):
                path.unlink(missing_ok=True)
