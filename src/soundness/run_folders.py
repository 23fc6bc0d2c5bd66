"""What a training was started with, kept beside its checkpoints: a training that goes on must go on with the same."""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from soundness.errors import OutputError

__all__ = ["check_identity", "package_versions", "read_identity", "write_identity"]


def package_versions() -> dict[str, str]:
    """What a training was made with, by name."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("soundness", "torch", "numpy")},
    }


def write_identity(file: Path, identity: Mapping[str, Any]) -> None:
    """Write what a training is started with; the values are plain."""
    file.write_text(json.dumps(identity, indent=2) + "\n", encoding="utf-8")


def read_identity(file: Path) -> dict[str, Any]:
    """What the training of a file was started with.

    Raises
    ------
    OutputError
        If the file is none that `write_identity` wrote.
    """
    try:
        identity = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        identity = None
    if not isinstance(identity, dict) or "machine_types" not in identity:
        raise OutputError(f"{file}: not the file of a run; remove {file.parent} by hand to start anew")
    return identity


def check_identity(file: Path, identity: Mapping[str, Any], *, out: Path) -> None:
    """Refuse to go on with a training that was started with anything else.

    Raises
    ------
    OutputError
        If a value differs; the message names it, and ``out``.
    """
    before = read_identity(file)
    for key, value in identity.items():
        if before.get(key) != value:
            raise OutputError(f"{out}: was started with another {key}; --resume goes on with the same one")
