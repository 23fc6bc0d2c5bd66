"""How the recordings of one machine lie in its folder: the challenge's ways of every year, and others."""

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
"""What folders of normal and of anomalous clips are called that lie beside each other."""


class Layout(Protocol):
    """A way to lay out the recordings of one machine in its folder."""

    def read(self, folder: Path) -> Sequence[Clip] | None:
        """List the clips of the machine in `folder`.

        `open_dataset` asks this of a folder, and of the folders below it where no layout knows it; it joins
        ``attributes_*.csv`` and looks for problems itself. `list_audio` and `describe_clip` do most of the
        work; where subfolders have fixed names, a `FolderLayout` with other names does all of it.

        Parameters
        ----------
        folder
            An existing folder.

        Returns
        -------
        sequence of Clip or None
            Clips of one machine type; ``None`` where the folder is no machine's folder of this layout.
        """


@dataclass(frozen=True, slots=True)
class Place:
    """What it says of a clip to lie in a certain folder; see `Clip`. What its name says has precedence."""

    split: Split
    domain: Domain | None = None
    label: Label | None = None


@dataclass(frozen=True, slots=True)
class FolderLayout:
    """A machine's folder with subfolders of fixed names, at least one of them for training or testing.

    Parameters
    ----------
    places
        What each subfolder's name means, such as ``{"train": Place("train", label="normal")}``; upper case
        does not matter.
    """

    places: Mapping[str, Place]

    def read(self, folder: Path) -> list[Clip] | None:
        """See `Layout.read`.

        Raises
        ------
        DataError
            A subfolder has its recordings in folders of its own, where they would pass for other machines.
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
    """Recordings directly in the folder, all of them normal unless they or the folder are named otherwise."""

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
"""The challenge's layout, of every year."""

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
"""The layouts by name. The last is asked first, so that one added at the end has precedence."""


def _name(folder: Path) -> str:
    return folder.resolve().name if folder.name in ("", "..") else folder.name


def _recordings(place: Path) -> list[Path]:
    found = list_audio(place)
    if not found and any(iter_audio(place)):
        raise DataError(f"{place}: recordings lie in folders below it; they are expected in the folder itself")
    return found
