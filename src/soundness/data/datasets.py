"""Data sets: machines and clips under a folder, in the challenge's layouts or a user's own."""

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from soundness.aliases import PathLike
from soundness.audio.formats import AUDIO_SUFFIXES
from soundness.data.clips import Clip, Split, clip_key, condition_of, describe_clip, read_attributes
from soundness.data.finding import (
    FoundFiles,
    Paths,
    Problem,
    Selection,
    Severity,
    find_recordings,
    list_entries,
    listed_names,
    real_paths,
    unread_problems,
)
from soundness.data.folder_names import ANOMALOUS_FOLDERS, NORMAL_FOLDERS, machine_folder, state_name
from soundness.data.layouts import LAYOUTS, FlatLayout, FolderLayout, Layout, Place
from soundness.data.machine_folders import MachineFolder, find_machine_folders, group_by_name
from soundness.errors import DataError

__all__ = [
    "FEWEST_TRAINING_CLIPS",
    "LAYOUTS",
    "Dataset",
    "FlatLayout",
    "FolderLayout",
    "Layout",
    "Listing",
    "Machine",
    "Paths",
    "Place",
    "Problem",
    "Selection",
    "Severity",
    "find_clips",
    "fingerprint",
    "list_clips",
    "open_dataset",
]

FEWEST_TRAINING_CLIPS = 3
"""Smallest number of training clips of a detector."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Machine:
    """Recordings of one machine, ordered by split folder and name.

    ``root`` is its folder; the first, if ``dev_data`` and ``eval_data`` both hold it. ``is_flat`` is True for a folder
    of recordings, which nothing calls training or test clips.
    """

    machine_type: str
    root: Path
    clips: tuple[Clip, ...]
    is_flat: bool = False

    @property
    def train(self) -> tuple[Clip, ...]:
        """Training clips."""
        return self._clips_of("train")

    @property
    def test(self) -> tuple[Clip, ...]:
        """Test clips."""
        return self._clips_of("test")

    @property
    def supplemental(self) -> tuple[Clip, ...]:
        """Clean-machine and noise-only clips."""
        return self._clips_of("supplemental")

    def _clips_of(self, split: Split) -> tuple[Clip, ...]:
        return tuple(clip for clip in self.clips if clip.split == split)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Machines under one folder, by name in alphabetical order, at least one.

    ``problems`` are those that leave the rest of the data of use; ``selection`` is what it was opened with.
    """

    root: Path
    machines: dict[str, Machine]
    problems: tuple[Problem, ...]
    selection: Selection | None = None

    def chosen(self, names: Sequence[str]) -> list[Machine]:
        """Select machines by name, in the order of the data set; all if none is named.

        Raises
        ------
        DataError
            If there is no machine of a name.
        """
        names = (names,) if isinstance(names, str) else names
        unknown = [name for name in names if name not in self.machines]
        if unknown:
            raise DataError(f"no machine {unknown[0]!r}; there are {', '.join(self.machines)}", path=self.root)
        return [machine for name, machine in self.machines.items() if not names or name in names]


def open_dataset(path: PathLike | Selection, *, layouts: Mapping[str, Layout] = LAYOUTS) -> Dataset:
    """Find the machines under a folder and list their clips; no audio is read.

    Parameters
    ----------
    path
        The challenge's root, its ``dev_data``, ``eval_data`` or ``raw``, a folder of machines, one machine's
        folder, or a folder of normal recordings; or a `Selection` of the recordings in one.
    layouts
        Layouts to try, the last first; add your own with ``{**LAYOUTS, "mine": MyLayout()}``.

    Raises
    ------
    DataError
        If there is no such folder, no permission to list it, or no audio in it; or if two machines would have the same
        name.
    """
    selection = Selection(path)
    root = _checked_folder(selection.folder)
    folders = _selected(find_machine_folders(root, layouts), root, selection)
    problems = _unread_problems(root, folders, selection)
    machines: dict[str, Machine] = {}
    key_of = _keys(root)
    for name, members in group_by_name(root, folders).items():
        clips = [
            replace(clip, machine_type=name, key=key_of(clip.path))
            for each in members
            for clip in _with_attributes(each.folder, each.clips, problems if selection.takes_all else [])
        ]
        machines[name] = Machine(name, members[0].folder, tuple(clips), all(each.is_flat for each in members))
        problems += _problems_of(machines[name])
    return Dataset(root, machines, tuple(problems), selection)


@dataclass(frozen=True, slots=True)
class Listing:
    """Clips of files and folders, and problems of those that are not among them."""

    clips: tuple[Clip, ...]
    problems: tuple[Problem, ...]


def list_clips(paths: Paths, *, layouts: Mapping[str, Layout] = LAYOUTS) -> tuple[Clip, ...]:
    """List the clips of files and folders as `find_clips` does, and log the problems as warnings."""
    found = find_clips(paths, layouts=layouts)
    for problem in found.problems:
        _LOG.warning("%s", problem)
    return found.clips


def find_clips(paths: Paths, *, layouts: Mapping[str, Layout] = LAYOUTS) -> Listing:
    """Find the clips of files and folders, in their order and each once.

    A file with the suffix of a recording is one clip, even if it does not exist, which reading it will report. A folder
    of recordings gives all of them and those below it, with the split ``test``; their machine type is the folder below
    that they lie in, but for folders that are named after times, and ``""`` in the folder itself. Any other folder is
    opened as a data set, with `layouts`: each machine gives its test clips or, if it has none, its training clips,
    which keep the split ``train``.

    Parameters
    ----------
    paths
        Files and folders, or one of them; or a `Selection` of the recordings in them.
    layouts
        See `open_dataset`.

    Raises
    ------
    DataError
        See `open_dataset`; or if there is no such file or folder.
    """
    selection = Selection(paths)
    clips: dict[str, Clip] = {}
    problems: dict[Problem, None] = {}
    real_path = real_paths()
    for path in selection.paths:
        listing = _clips_at(path, layouts, selection)
        problems |= dict.fromkeys(listing.problems)
        for clip in listing.clips:
            clips.setdefault(real_path(clip.path), clip)
    return Listing(tuple(clips.values()), tuple(problems))


def _clips_at(path: Path, layouts: Mapping[str, Layout], selection: Selection) -> Listing:
    if _is_file_to_score(path):
        return Listing((describe_clip(path, machine_type="", split="test"),), ())
    dataset = open_dataset(Selection(path, pattern=selection.pattern, since=selection.since), layouts=layouts)
    clips: list[Clip] = []
    for machine in dataset.machines.values():
        if machine.is_flat:
            is_alone = machine.root == dataset.root
            clips += [_unlabelled(clip, "" if is_alone else machine.machine_type) for clip in machine.clips]
        else:
            clips += machine.test or machine.train
    return Listing(tuple(clips), dataset.problems)


def _unlabelled(clip: Clip, machine_type: str) -> Clip:
    """The clip of a folder of recordings: what stands in its name, and nothing that a layout assumes."""
    name = machine_type or machine_folder(PurePosixPath(clip.key))
    return replace(describe_clip(clip.path, machine_type=name, split="test"), key=clip.key)


def _is_file_to_score(path: Path) -> bool:
    """True if this is a file, or a missing recording, which is reported when it is read."""
    is_recording = path.suffix.lower() in AUDIO_SUFFIXES
    try:
        if _exists(path):
            return not path.is_dir()
    except DataError:
        if not is_recording:
            raise
    if not is_recording:
        raise DataError("no such file or folder; expected a recording, or a folder of recordings", path=path)
    return True


def _checked_folder(path: Path) -> Path:
    if not _exists(path):
        raise DataError("no such folder; expected a folder of recordings", path=path)
    if not path.is_dir():
        raise DataError("a file; expected a folder of recordings, a data set", path=path)
    return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError as error:
        raise DataError(f"no permission to look into {path.parent}", path=path) from error


def _keys(root: Path) -> Callable[[Path], str]:
    """Function for the key of a recording below a folder."""
    above = f"{root.as_posix().rstrip('/')}/"

    def key_of(path: Path) -> str:
        text = path.as_posix()
        return text[len(above) :] if text.startswith(above) else path.name

    return key_of


def _selected(found: Iterable[MachineFolder], root: Path, selection: Selection) -> list[MachineFolder]:
    """Folders with the clips that are taken, each recording once; a folder without any is left out."""
    known: set[str] = set()
    folders = []
    real_path = real_paths()
    for each in found:
        clips = []
        for clip in each.clips:
            real = real_path(clip.path)
            if real not in known and selection.takes(clip.path, root=root):
                known.add(real)
                clips.append(clip)
        if clips:
            folders.append(replace(each, clips=clips))
    return folders


def _no_audio(root: Path, found: FoundFiles, selection: Selection) -> str:
    if not selection.takes_all:
        return f"no recordings {selection.words}"
    named = "".join(f"; {problem}" for problem in unread_problems(found, root))
    suffixes = ", ".join(sorted(AUDIO_SUFFIXES & {".wav", ".flac", ".ogg", ".mp3"}))
    return (
        f"no audio found; expected recordings ({suffixes}, ...) of a machine in train/ and test/, in "
        f"normal/ and abnormal/, or in the folder itself, e.g. {root / 'fan' / 'train' / 'a.wav'}{named}"
    )


def _with_attributes(folder: Path, clips: list[Clip], problems: list[Problem]) -> list[Clip]:
    """Clips with attributes from ``attributes_*.csv`` where their names have none."""
    keys = {clip_key(clip.path.name) for clip in clips}
    attributes: dict[str, str] = {}
    for path in list_entries(folder)[1]:
        if path.match("attributes_*.csv"):
            try:
                rows = {clip_key(name): text for name, text in read_attributes(path).items()}
            except DataError as error:
                problems.append(Problem(path, error.reason, "warning"))
                continue
            attributes |= rows
            if unmatched := sorted(rows.keys() - keys):
                message = f"{len(unmatched):,} rows name no recording in {folder}, e.g. {unmatched[0]}"
                problems.append(Problem(path, message, "warning"))
    return [replace(clip, attributes=clip.attributes or attributes.get(clip_key(clip.path.name), "")) for clip in clips]


def _unread_problems(root: Path, folders: Iterable[MachineFolder], selection: Selection) -> list[Problem]:
    """Problems of recordings that belong to no machine, one for each machine's folder, and of all that is not read.

    Raises
    ------
    DataError
        If there is no machine.
    """
    found = find_recordings(root, selection)
    if not folders:
        raise DataError(_no_audio(root, found, selection), path=root)
    real_path = real_paths()
    read = {real_path(clip.path) for each in folders for clip in each.clips}
    machines = {each.folder for each in folders}
    groups: dict[Path, list[Path]] = defaultdict(list)
    for path in found.recordings:
        if real_path(path) not in read:
            groups[next((folder for folder in path.parents if folder in machines), root)].append(path)
    return [
        *(Problem(folder, _unread_message(paths, folder), "warning") for folder, paths in groups.items()),
        *unread_problems(found, root),
    ]


def _unread_message(paths: Sequence[Path], folder: Path) -> str:
    """Number of recordings that are not read, the folders that they lie in, and an example."""
    tops = dict.fromkeys(path.relative_to(folder).parts[0] for path in paths if path.parent != folder)
    where = f" ({listed_names(tops)})" if tops else ""
    return f"{len(paths):,} recordings in it{where} are not read, e.g. {paths[0].relative_to(folder)}"


def _problems_of(machine: Machine) -> list[Problem]:
    """Duplicate names, folders below, training clips labelled anomalous, supplemental clips of unknown kind."""
    problems = []
    first: dict[tuple[str, str], Path] = {}
    for clip in machine.clips:
        other = first.setdefault((str(clip.path.parent), clip_key(clip.path.name)), clip.path)
        if other != clip.path:
            problems.append(Problem(clip.path, f"same name as {other}, also of {machine.machine_type}"))
    if names := _folders_below(machine):
        message = f"recordings in folders below it ({listed_names(names)}) count as recordings of this one machine"
        problems.append(Problem(machine.root, message, "warning"))
    if anomalous := [clip.path for clip in machine.train if clip.label == "anomaly"]:
        message = f"{len(anomalous):,} training clips are labelled anomalous, e.g. {anomalous[0].name}"
        problems.append(Problem(anomalous[0].parent, f"{message}; training refuses them"))
    if unknown := [clip.path for clip in machine.supplemental if clip.supplemental is None]:
        message = f"{len(unknown):,} clips with neither 'machine' nor 'noise' in their name, e.g. {unknown[0].name}"
        problems.append(Problem(unknown[0].parent, message, "warning"))
    return problems


def _folders_below(machine: Machine) -> list[str]:
    """Names of folders in a machine's folder, or in its splits, that might be those of other machines."""
    names: dict[str, None] = {}
    for folder in dict.fromkeys(clip.path.parent for clip in machine.clips):
        if folder.is_relative_to(machine.root):
            parts = [name for name in machine_folder(folder.relative_to(machine.root) / "x").split("/") if name]
            kept = parts if machine.is_flat else parts[1:]
            names |= dict.fromkeys(
                name for name in kept if state_name(name) not in (*NORMAL_FOLDERS, *ANOMALOUS_FOLDERS)
            )
    return list(names)


def fingerprint(clips: Iterable[Clip]) -> str:
    """Fingerprint of a set of clips by their names, sizes and conditions, independent of their folder and order."""
    known = [
        (clip.machine_type, clip.path.name, clip.path.stat().st_size, str(condition_of(clip)), clip.section)
        for clip in clips
    ]
    return hashlib.sha256(json.dumps(sorted(known)).encode()).hexdigest()
