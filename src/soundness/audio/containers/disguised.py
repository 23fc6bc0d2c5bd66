"""Files that hold recordings though their suffixes do not say so: compressed ones, and those without a suffix."""

import os
from pathlib import Path, PurePosixPath

from soundness.audio.formats import KNOWN_SUFFIXES
from soundness.audio.tables.text import looks_numeric
from soundness.regular_files import open_regular

__all__ = ["is_disguised"]

_COMPRESSED = frozenset({".gz", ".zip", ".bz2", ".xz", ".zst", ".7z"})
_HEAD_BYTES = 4096
_HEADS = (b"RIFF", b"RIFX", b"RF64", b"fLaC", b"OggS", b"FORM", b"caff", b"riff\x2e\x91\xcf\x11", b".snd")
_NAME_AT = 30  # in a ZIP archive, whose length stands before


def is_disguised(path: Path) -> bool:
    """True for a compressed recording, and for one without a suffix."""
    if path.suffix.lower() in _COMPRESSED:
        return Path(path.stem).suffix.lower() in KNOWN_SUFFIXES or _first_packed(path) in KNOWN_SUFFIXES
    if path.suffix[1:2].isalpha() or not path.is_file():
        return False
    try:
        with open_regular(path) as file:
            head = file.read(_HEAD_BYTES)
            return head.startswith(_HEADS) or looks_numeric(head)
    except OSError:
        return False  # no name says that it is a recording


def _first_packed(path: Path) -> str:
    """Suffix of the first file in a ZIP archive; empty if there is none."""
    try:
        with open_regular(path) as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return ""
    if path.suffix.lower() != ".zip" or not head.startswith(b"PK\x03\x04"):
        return ""
    n_name = int.from_bytes(head[26:28], "little")
    return PurePosixPath(os.fsdecode(head[_NAME_AT : _NAME_AT + n_name])).suffix.lower()
