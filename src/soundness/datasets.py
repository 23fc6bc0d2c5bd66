"""Folders of recordings as data sets: the challenge's layouts of every year, and anybody's own."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from soundness.audio import AUDIO_SUFFIXES, list_audio, list_entries
from soundness.clips import Clip, Domain, Label, Split, describe_clip, read_attributes
from soundness.errors import DataError

__all__ = [
    "LAYOUTS",
    "Dataset",
    "FlatLayout",
    "FolderLayout",
    "Layout",
    "Machine",
    "Place",
    "Problem",
    "Severity",
    "list_clips",
    "open_dataset",
]

Severity = Literal["error", "warning"]

_PLUMBING = frozenset({"dev_data", "eval_data", "raw"})  # folders of the challenge that name no machine
_MAX_DEPTH = 5  # root/dcase2025t2/dev_data/raw/fan, and one more
_FLAT = "flat"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something of the data that a person should know.

    Parameters
    ----------
    path
        The file or folder that it is about.
    message
        What is wrong with it, in one line without the path.
    severity
        ``error`` where something will be refused because of it, else ``warning``.
    """

    path: Path
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        """The path and the message in one line."""
        return f"{self.path}: {self.message}"

    @classmethod
    def of(cls, path: Path, error: DataError, *, severity: Severity = "error") -> "Problem":
        """The problem that an error tells of; such errors begin with their path."""
        return cls(path, str(error).removeprefix(f"{path}: "), severity)


@dataclass(frozen=True, slots=True)
class Machine:
    """The recordings of one machine.

    Parameters
    ----------
    machine_type
        Its name, such as ``fan``.
    root
        Its folder; the first, where ``dev_data`` and ``eval_data`` both hold it.
    clips
        All its clips, ordered by split folder and name.
    """

    machine_type: str
    root: Path
    clips: tuple[Clip, ...]

    @property
    def train(self) -> tuple[Clip, ...]:
        """The training clips."""
        return self._of("train")

    @property
    def test(self) -> tuple[Clip, ...]:
        """The test clips."""
        return self._of("test")

    @property
    def supplemental(self) -> tuple[Clip, ...]:
        """The clean-machine and noise-only clips."""
        return self._of("supplemental")

    def _of(self, split: Split) -> tuple[Clip, ...]:
        return tuple(clip for clip in self.clips if clip.split == split)


@dataclass(frozen=True, slots=True)
class Dataset:
    """The machines under one folder.

    Parameters
    ----------
    root
        The folder that was opened.
    machines
        By machine type, in the order of their names; at least one.
    problems
        What is wrong with the data, yet leaves the rest of use.
    """

    root: Path
    machines: dict[str, Machine]
    problems: tuple[Problem, ...]


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
        """See `Layout.read`."""
        machine, folders = _name(folder), {below.name.lower(): below for below in list_entries(folder)[0]}
        clips = [
            describe_clip(path, machine_type=machine, split=place.split, domain=place.domain, label=place.label)
            for name, place in self.places.items()
            if name.lower() in folders
            for path in list_audio(folders[name.lower()])
        ]
        return clips if any(clip.split != "supplemental" for clip in clips) else None


class FlatLayout:
    """Recordings directly in the folder, all of them normal unless they or the folder are named otherwise."""

    def read(self, folder: Path) -> list[Clip] | None:
        """See `Layout.read`."""
        machine_type = _name(folder)
        label: Label = "anomaly" if machine_type.lower() in ("abnormal", "anomaly") else "normal"
        return [
            describe_clip(path, machine_type=machine_type, split="train", label=label) for path in list_audio(folder)
        ] or None


LAYOUTS: dict[str, Layout] = {
    _FLAT: FlatLayout(),
    "normal-abnormal": FolderLayout(
        {
            "normal": Place("train", label="normal"),
            "abnormal": Place("test", label="anomaly"),
            "anomaly": Place("test", label="anomaly"),
            "supplemental": Place("supplemental"),
        }
    ),
    "dcase": FolderLayout(
        {
            "train": Place("train", label="normal"),
            "source_test": Place("test", domain="source"),
            "target_test": Place("test", domain="target"),
            "test": Place("test"),
            "supplemental": Place("supplemental"),
        }
    ),
}
"""The layouts by name. The last is asked first, so that one added at the end has precedence."""


def open_dataset(path: Path | str, *, layouts: Mapping[str, Layout] = LAYOUTS) -> Dataset:
    """Find the machines under a folder and list their clips; no audio is read.

    Parameters
    ----------
    path
        The challenge's root, its ``dev_data``, ``eval_data`` or ``raw``, a folder of machines, one machine's
        folder, or a folder of normal recordings.
    layouts
        The layouts to try, the last first; add your own with ``{**LAYOUTS, "mine": MyLayout()}``.

    Raises
    ------
    DataError
        No such folder, no permission to list it or one in it, or no audio in it.
    """
    root = _checked_folder(Path(path))
    found = _find_machines(root, layouts)
    if not found:
        raise DataError(_no_audio(root))
    problems = [problem for folder, layout, _ in found for problem in _unread(folder, layout)]
    folders = [(folder, _with_attributes(folder, clips, problems)) for folder, _, clips in found]
    machines = _named_machines(root, folders)
    for machine in machines.values():
        problems += _problems_of(machine)
    return Dataset(root, machines, tuple(problems))


def list_clips(paths: Iterable[Path | str], *, layouts: Mapping[str, Layout] = LAYOUTS) -> tuple[Clip, ...]:
    """The clips to score, of files and folders in the order given; a file that comes twice is taken once.

    A file is one clip. A folder of recordings gives all of them, whatever it is called; such clips and files
    have the machine type ``""``. Any other folder is opened as a data set: each machine gives its test clips
    or, where it has none, its training clips.

    Parameters
    ----------
    paths
        Audio files and folders.
    layouts
        As for `open_dataset`.

    Raises
    ------
    DataError
        As for `open_dataset`; or two files of one name that would share a machine's file of scores.
    """
    clips: dict[Path, Clip] = {}
    for path in map(Path, paths):
        for clip in _clips_at(path, layouts):
            clips.setdefault(clip.path.resolve(), clip)
    _refuse_same_names(clips.values())
    return tuple(clips.values())


def _clips_at(path: Path, layouts: Mapping[str, Layout]) -> Sequence[Clip]:
    if _exists(path) and not path.is_dir():
        return [describe_clip(path, machine_type="", split="test")]
    recognised = _recognise(_checked_folder(path), layouts)
    if recognised is not None and recognised[0] == _FLAT:
        return [describe_clip(clip.path, machine_type="", split="test") for clip in recognised[1]]
    machines = open_dataset(path, layouts=layouts).machines.values()
    return [clip for machine in machines for clip in machine.test or machine.train]


def _refuse_same_names(clips: Iterable[Clip]) -> None:
    seen: dict[tuple[str, str], Path] = {}
    for clip in clips:
        other = seen.setdefault((clip.machine_type, clip.path.name), clip.path)
        if other != clip.path:
            raise DataError(f"{clip.path}: same name as {other}; scores are kept by name, so score them apart")


def _checked_folder(path: Path) -> Path:
    if not _exists(path):
        raise DataError(f"{path}: no such folder; expected a folder of recordings")
    if not path.is_dir():
        raise DataError(f"{path}: a file; expected a folder of recordings, a data set")
    return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError as error:
        raise DataError(f"{path}: no permission to look into {path.parent}") from error


def _no_audio(root: Path) -> str:
    suffixes = ", ".join(sorted(AUDIO_SUFFIXES & {".wav", ".flac", ".ogg", ".mp3"}))
    return (
        f"{root}: no audio found; expected recordings ({suffixes}, ...) of a machine in train/ and test/, in "
        f"normal/ and abnormal/, or in the folder itself, e.g. {root / 'fan' / 'train' / 'a.wav'}"
    )


def _name(folder: Path) -> str:
    return folder.resolve().name if folder.name in ("", "..") else folder.name


def _recognise(folder: Path, layouts: Mapping[str, Layout]) -> tuple[str, list[Clip]] | None:
    """Name of the last layout that knows a folder, and the clips in it."""
    for name, layout in reversed(list(layouts.items())):
        if clips := layout.read(folder):
            return name, list(clips)
    return None


def _find_machines(
    folder: Path, layouts: Mapping[str, Layout], *, depth: int = _MAX_DEPTH
) -> list[tuple[Path, str, list[Clip]]]:
    """Folder, layout and clips of each machine in a folder or in those below it."""
    if (recognised := _recognise(folder, layouts)) is not None:
        return [(folder, *recognised)]
    if depth == 0:
        return []
    found = (_find_machines(below, layouts, depth=depth - 1) for below in list_entries(folder)[0])
    return [machine for machines in found for machine in machines]


def _named_machines(root: Path, folders: list[tuple[Path, list[Clip]]]) -> dict[str, Machine]:
    """Machines by name. ``dev_data`` and ``eval_data`` share theirs; paths tell others of one name apart."""
    groups: dict[tuple[str, ...], list[tuple[Path, list[Clip]]]] = defaultdict(list)
    for folder, clips in folders:
        parts = (part for part in folder.relative_to(root).parts[:-1] if part not in _PLUMBING)
        groups[(*parts, clips[0].machine_type)].append((folder, clips))
    n_uses = Counter(key[-1] for key in groups)
    machines = {}
    for key, members in groups.items():
        name = key[-1] if n_uses[key[-1]] == 1 else "_".join(key)
        renamed = tuple(replace(clip, machine_type=name) for _, clips in members for clip in clips)
        machines[name] = Machine(name, members[0][0], renamed)
    return dict(sorted(machines.items()))


def _with_attributes(folder: Path, clips: list[Clip], problems: list[Problem]) -> list[Clip]:
    """Clips with the attributes that ``attributes_*.csv`` gives where their names give none."""
    stems = {clip.path.stem for clip in clips}
    attributes: dict[str, str] = {}
    for path in list_entries(folder)[1]:
        if path.match("attributes_*.csv"):
            try:
                rows = {_stem(name): text for name, text in read_attributes(path).items()}
            except DataError as error:
                problems.append(Problem.of(path, error, severity="warning"))
                continue
            attributes |= rows
            if lost := sorted(rows.keys() - stems):
                message = f"{len(lost):,} rows name no recording in {folder}, e.g. {lost[0]}"
                problems.append(Problem(path, message, "warning"))
    return [replace(clip, attributes=clip.attributes or attributes.get(clip.path.stem, "")) for clip in clips]


def _stem(file_name: str) -> str:
    """Stem of ``fan/train/x.wav``, ``x.wav`` or ``x``, where a stem may hold dots: ``..._ac_0.11``."""
    path = Path(file_name)
    return path.stem if path.suffix.lower() in AUDIO_SUFFIXES else path.name


def _unread(folder: Path, layout: str) -> list[Problem]:
    """Folders that are not looked into, because recordings lie beside them."""
    names = ", ".join(below.name for below in list_entries(folder)[0]) if layout == _FLAT else ""
    return [Problem(folder, f"folders beside its recordings are not read: {names}", "warning")] if names else []


def _problems_of(machine: Machine) -> list[Problem]:
    """Duplicate names, training clips labelled anomalous, supplemental clips of unknown kind."""
    problems = []
    first: dict[tuple[Split, str], Path] = {}
    for clip in machine.clips:
        other = first.setdefault((clip.split, clip.path.stem), clip.path)
        if other != clip.path:
            problems.append(Problem(clip.path, f"same name as {other}, also of {machine.machine_type}"))
    if odd := [clip.path for clip in machine.train if clip.label == "anomaly"]:
        message = f"{len(odd):,} training clips are labelled anomalous, e.g. {odd[0].name}; training refuses them"
        problems.append(Problem(odd[0].parent, message))
    if unknown := [clip.path for clip in machine.supplemental if clip.supplemental is None]:
        message = f"{len(unknown):,} clips with neither 'machine' nor 'noise' in their name, e.g. {unknown[0].name}"
        problems.append(Problem(unknown[0].parent, message, "warning"))
    return problems
