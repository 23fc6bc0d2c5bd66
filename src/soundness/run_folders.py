"""Folders of results that can be resumed or replaced, with the identity of the run in a file."""

import json
import platform
import shutil
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from soundness.atomic_files import output_errors, write_whole
from soundness.errors import OutputError

__all__ = ["Existing", "begin_run", "check_identity", "package_versions", "read_identity"]

Existing = Literal["refuse", "resume", "replace"]
"""Treatment of results that are there already."""


def begin_run(
    folder: Path,
    identity: Mapping[str, Any],
    *,
    kind: str,
    file_name: str,
    existing: Existing,
    parts: Callable[[Path], Iterable[str]],
) -> None:
    """Make a folder ready for results: a new one, one that is resumed, or one whose earlier results are removed.

    Parameters
    ----------
    folder
        Made where there is none. One that holds nothing but the file of an identity counts as empty.
    identity
        Everything that distinguishes this run from others, as plain values; kept in the folder.
    kind
        Name of such a run in messages, as in "training".
    file_name
        File of the identity.
    existing
        Treatment of earlier results: refuse them, resume those of the same identity, or replace them.
    parts
        Files and folders, relative to the folder, of which earlier results with that file of the identity consist;
        nothing else is removed.

    Raises
    ------
    OutputError
        If the folder holds anything else, results that are not to be replaced, or a run of another identity; or if it
        cannot be written.
    """
    file = folder / file_name
    with output_errors(folder):
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: is a file; a folder for the {kind} is expected")
        if existing == "resume" and file.exists():
            check_identity(file, identity)
            return
        if folder.exists() and any(entry.name != file_name for entry in folder.iterdir()):
            _remove(folder, file, kind=kind, existing=existing, parts=parts)
        write_whole(file, json.dumps(identity, indent=2) + "\n")


def _remove(folder: Path, file: Path, *, kind: str, existing: Existing, parts: Callable[[Path], Iterable[str]]) -> None:
    if not file.exists():
        raise OutputError(f"{folder}: exists, and is not the folder of a {kind} (no {file.name}); choose another")
    if existing != "replace":
        raise OutputError(f"{folder}: exists already; --overwrite replaces it, --resume goes on with it")
    for part in [folder / name for name in parts(file)]:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
    file.unlink()


def package_versions() -> dict[str, str]:
    """Versions of Python and packages that results depend on, by name."""
    return {"python": platform.python_version(), **{name: version(name) for name in ("soundness", "torch", "numpy")}}


def read_identity(file: Path) -> dict[str, Any]:
    """Read the identity of a run.

    Raises
    ------
    OutputError
        If `begin_run` did not write the file.
    """
    try:
        identity = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        identity = None
    if not isinstance(identity, dict) or "machine_types" not in identity:
        raise OutputError(f"{file}: not the file of a run; remove {file.parent} by hand to start anew")
    return identity


def check_identity(file: Path, identity: Mapping[str, Any]) -> None:
    """Refuse to resume a run that was started with another identity.

    Raises
    ------
    OutputError
        If a value differs; the message names it, and the folder.
    """
    before = read_identity(file)
    for key, value in identity.items():
        if before.get(key) != value:
            raise OutputError(f"{file.parent}: was started with another {key}; --resume goes on with the same one")
