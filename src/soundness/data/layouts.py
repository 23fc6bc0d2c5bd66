"""Layouts of a machine's folder: those of the challenge of every year, and others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from soundness.audio.reading import iter_audio, list_audio, list_entries
from soundness.data.clips import Clip, Domain, Label, Split, describe_clip
from soundness.errors import DataError

__all__ = [
    "ANOMALOUS_FOLDERS",
    "DCASE",
    "FLAT",
    "LAYOUTS",
    "NORMAL_FOLDER",
    "FlatLayout",
    "FolderLayout",
    "Layout",
    "Place",
]

FLAT = "flat"
"""Name of the layout without subfolders in `LAYOUTS`."""
NORMAL_FOLDER, ANOMALOUS_FOLDERS = "normal", ("abnormal", "anomaly")
"""Names of folders of normal and of anomalous clips beside each other."""


class Layout(Protocol):
    """Layout of the recordings of one machine in its folder."""

    def read(self, folder: Path) -> Sequence[Clip] | None:
        """List the clips of the machine in `folder`.

        `open_dataset` calls this for a folder, and for those below it if no layout knows it; it adds attributes from
        ``attributes_*.csv`` and looks for problems itself. `list_audio` and `describe_clip` do most of the work; for
        subfolders with other fixed names a `FolderLayout` is enough.

        Parameters
        ----------
        folder
            An existing folder.

        Returns
        -------
        sequence of Clip or None
            Clips of one machine type; ``None`` if the folder is no machine's folder of this layout.
        """


@dataclass(frozen=True, slots=True)
class Place:
    """Metadata of the clips in a folder; see `Clip`. Their names have precedence."""

    split: Split
    domain: Domain | None = None
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class FolderLayout:
    """A machine's folder with subfolders of fixed names, at least one of them for training or testing.

    Parameters
    ----------
    places
        Meaning of each subfolder's name, such as ``{"train": Place("train", label="normal")}``, in upper or lower
        case.
    """

    places: Mapping[str, Place]

    def read(self, folder: Path) -> list[Clip] | None:
        """See `Layout.read`.

        Raises
        ------
        DataError
            If a subfolder has its recordings in folders of its own, where they would pass for other machines.
        """
        machine, folders = _name(folder), {below.name.lower(): below for below in list_entries(folder)[0]}
        clips = [
            describe_clip(path, machine_type=machine, split=place.split, domain=place.domain, label=place.label)
            for name, place in self.places.items()
            if name.lower() in folders
            for path in _recordings(folders[name.lower()])
        ]
        return clips if any(clip.split != "supplemental" for clip in clips) else None


class FlatLayout:
    """Recordings directly in the folder, normal unless their names or the folder's say otherwise."""

    def read(self, folder: Path) -> list[Clip] | None:
        """See `Layout.read`."""
        machine_type = _name(folder)
        label: Label = "anomaly" if machine_type.lower() in ANOMALOUS_FOLDERS else "normal"
        return [
            describe_clip(path, machine_type=machine_type, split="train", label=label) for path in list_audio(folder)
        ] or None


DCASE = FolderLayout(
    {
        "train": Place("train", label="normal"),
        "source_test": Place("test", domain="source"),
        "target_test": Place("test", domain="target"),
        "test": Place("test"),
        "supplemental": Place("supplemental"),
    }
)
"""Layout of the challenge, of every year."""

LAYOUTS: dict[str, Layout] = {
    FLAT: FlatLayout(),
    "normal-abnormal": FolderLayout(
        {
            NORMAL_FOLDER: Place("train", label="normal"),
            **{name: Place("test", label="anomaly") for name in ANOMALOUS_FOLDERS},
            "supplemental": Place("supplemental"),
        }
    ),
    "dcase": DCASE,
}
"""Layouts by name. The last is tried first, so that one added at the end has precedence."""


def _name(folder: Path) -> str:
    return folder.resolve().name if folder.name in ("", "..") else folder.name


def _recordings(place: Path) -> list[Path]:
    found = list_audio(place)
    if not found and any(iter_audio(place)):
        raise DataError("recordings lie in folders below it; they are expected in the folder itself", path=place)
    return found
