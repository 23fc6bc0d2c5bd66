"""Layouts of a machine's folder: those of the challenge of every year, and others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from soundness.data.clips import Clip, Domain, Label, Split, describe_clip
from soundness.data.finding import find_recordings, list_audio, list_folders
from soundness.data.folder_names import ANOMALOUS_FOLDERS, NORMAL_FOLDERS, plain_name, state_name
from soundness.plain_text import shown_name

__all__ = [
    "DCASE",
    "FLAT",
    "LAYOUTS",
    "FlatLayout",
    "FolderLayout",
    "Layout",
    "Place",
    "machine_name",
]

FLAT = "flat"
"""Name of the layout without subfolders in `LAYOUTS`."""


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
    beside
        Meaning of recordings in the folder itself, beside its subfolders, where no subfolder is for training; ``None``
        where they have none.
    """

    places: Mapping[str, Place]
    beside: Place | None = None

    def read(self, folder: Path) -> list[Clip] | None:
        """See `Layout.read`; the recordings of a subfolder may lie in folders below it, such as one for each day."""
        machine, folders = machine_name(folder), list_folders(folder)
        clips = [
            describe_clip(
                path, machine_type=machine, split=place.split, domain=place.domain, label=_label(path, below, place)
            )
            for name, place in self.places.items()
            for below in folders
            if state_name(below.name) == plain_name(name)
            for path in find_recordings(below).recordings
        ]
        if self.beside is not None and {clip.split for clip in clips} in ({"test"}, {"test", "supplemental"}):
            place = self.beside
            clips += [
                describe_clip(path, machine_type=machine, split=place.split, domain=place.domain, label=place.label)
                for path in list_audio(folder)
            ]
        return clips if any(clip.split != "supplemental" for clip in clips) else None


class FlatLayout:
    """Recordings directly in the folder, normal unless their names or the folder's say otherwise."""

    def read(self, folder: Path) -> list[Clip] | None:
        """See `Layout.read`."""
        machine_type = machine_name(folder)
        label: Label = "anomaly" if state_name(folder.name) in ANOMALOUS_FOLDERS else "normal"
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
            **{name: Place("train", label="normal") for name in NORMAL_FOLDERS},
            **{name: Place("test", label="anomaly") for name in ANOMALOUS_FOLDERS},
            "supplemental": Place("supplemental"),
        },
        beside=Place("train", label="normal"),
    ),
    "dcase": DCASE,
}
"""Layouts by name. The last is tried first, so that one added at the end has precedence."""


def machine_name(folder: Path) -> str:
    """Name of a machine by its folder."""
    return shown_name(folder.resolve().name if folder.name in ("", "..") else folder.name)


def _label(path: Path, place_folder: Path, place: Place) -> Label | None:
    """Label of the nearest folder that states one, such as ``test/faulty``, or that of the place."""
    for name in reversed(path.relative_to(place_folder).parts[:-1]):
        if state_name(name) in ANOMALOUS_FOLDERS:
            return "anomaly"
        if state_name(name) in NORMAL_FOLDERS:
            return "normal"
    return place.label
