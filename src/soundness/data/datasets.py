"""Data sets: machines and clips under a folder, in the challenge's layouts or a user's own."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from soundness.aliases import PathLike
from soundness.audio.formats import AUDIO_SUFFIXES
from soundness.audio.reading import iter_audio, list_entries
from soundness.data.clips import Clip, Split, clip_key, condition_of, describe_clip, read_attributes
from soundness.data.layouts import FLAT, LAYOUTS, FlatLayout, FolderLayout, Layout, Place
from soundness.errors import DataError

__all__ = [
    "FEWEST_TRAINING_CLIPS",
    "LAYOUTS",
    "Dataset",
    "FlatLayout",
    "FolderLayout",
    "Layout",
    "Machine",
    "Place",
    "Problem",
    "Severity",
    "fingerprint",
    "list_clips",
    "open_dataset",
]

Severity = Literal["error", "warning"]

FEWEST_TRAINING_CLIPS = 3
"""Smallest number of training clips of a detector."""

_PLUMBING = frozenset({"dev_data", "eval_data", "raw"})  # folders of the challenge that name no machine
_MAX_DEPTH = 5  # root/dcase2025t2/dev_data/raw/fan, and one more


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong or unusual with a file or folder, in one line without the path.

    Its severity is ``error`` if training or scoring will refuse something because of it, else ``warning``.
    """

    path: Path
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        """Path and message in one line."""
        return f"{self.path}: {self.message}"


@dataclass(frozen=True, slots=True)
class Machine:
    """Recordings of one machine, ordered by split folder and name.

    ``root`` is its folder; the first, if ``dev_data`` and ``eval_data`` both hold it.
    """

    machine_type: str
    root: Path
    clips: tuple[Clip, ...]

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

    ``problems`` are those that leave the rest of the data of use.
    """

    root: Path
    machines: dict[str, Machine]
    problems: tuple[Problem, ...]

    def chosen(self, names: Sequence[str]) -> list[Machine]:
        """Select machines by name, in the order of the data set; all if none is named.

        Raises
        ------
        DataError
            If there is no machine of a name.
        """
        unknown = [name for name in names if name not in self.machines]
        if unknown:
            raise DataError(f"no machine {unknown[0]!r}; there are {', '.join(self.machines)}", path=self.root)
        return [machine for name, machine in self.machines.items() if not names or name in names]


def open_dataset(path: PathLike, *, layouts: Mapping[str, Layout] = LAYOUTS) -> Dataset:
    """Find the machines under a folder and list their clips; no audio is read.

    Parameters
    ----------
    path
        The challenge's root, its ``dev_data``, ``eval_data`` or ``raw``, a folder of machines, one machine's
        folder, or a folder of normal recordings.
    layouts
        Layouts to try, the last first; add your own with ``{**LAYOUTS, "mine": MyLayout()}``.

    Raises
    ------
    DataError
        If there is no such folder, no permission to list it or one in it, or no audio in it; if recordings lie in
        folders below ``train``, ``normal`` and the like; or if two machines would have the same name.
    """
    root = _checked_folder(Path(path))
    found = _find_machines(root, layouts)
    if not found:
        raise DataError(_no_audio(root), path=root)
    problems = _unread_problems(root, found)
    folders = [(folder, _with_attributes(folder, clips, problems)) for folder, clips in found]
    machines = _named_machines(root, folders)
    for machine in machines.values():
        problems += _problems_of(machine)
    return Dataset(root, machines, tuple(problems))


def list_clips(paths: Iterable[PathLike], *, layouts: Mapping[str, Layout] = LAYOUTS) -> tuple[Clip, ...]:
    """List the clips of files and folders to score, in their order and each once.

    A file with the suffix of a recording is one clip, even if it does not exist, which reading it will report. A folder
    of recordings gives all of them; such clips and files have the machine type ``""`` and the split ``test``. Any other
    folder is opened as a data set, with `layouts`: each machine gives its test clips or, if it has none, its training
    clips, which keep the split ``train``.

    Raises
    ------
    DataError
        See `open_dataset`; or if there is no such file or folder, or two files of one name would share a machine's file
        of scores.
    """
    clips: dict[Path, Clip] = {}
    for path in map(Path, paths):
        for clip in _clips_at(path, layouts):
            clips.setdefault(clip.path.resolve(), clip)
    _refuse_same_names(clips.values())
    return tuple(clips.values())


def _clips_at(path: Path, layouts: Mapping[str, Layout]) -> Sequence[Clip]:
    if _is_file_to_score(path):
        return [describe_clip(path, machine_type="", split="test")]
    recognised = _recognise(_checked_folder(path), layouts)
    if recognised is not None and recognised[0] == FLAT:
        return [describe_clip(clip.path, machine_type="", split="test") for clip in recognised[1]]
    machines = open_dataset(path, layouts=layouts).machines.values()
    return [clip for machine in machines for clip in machine.test or machine.train]


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


def _refuse_same_names(clips: Iterable[Clip]) -> None:
    seen: dict[tuple[str, str], Path] = {}
    for clip in clips:
        other = seen.setdefault((clip.machine_type, clip.path.name), clip.path)
        if other != clip.path:
            raise DataError(f"same name as {other}; scores are kept by name, so score them apart", path=clip.path)


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


def _no_audio(root: Path) -> str:
    suffixes = ", ".join(sorted(AUDIO_SUFFIXES & {".wav", ".flac", ".ogg", ".mp3"}))
    return (
        f"no audio found; expected recordings ({suffixes}, ...) of a machine in train/ and test/, in "
        f"normal/ and abnormal/, or in the folder itself, e.g. {root / 'fan' / 'train' / 'a.wav'}"
    )


def _recognise(folder: Path, layouts: Mapping[str, Layout]) -> tuple[str, list[Clip]] | None:
    """Name of the last layout that recognises a folder, and the clips in it."""
    for name, layout in reversed(list(layouts.items())):
        if clips := layout.read(folder):
            return name, list(clips)
    return None


def _find_machines(
    folder: Path, layouts: Mapping[str, Layout], *, depth: int = _MAX_DEPTH
) -> list[tuple[Path, list[Clip]]]:
    """Folder and clips of each machine in a folder or below it, except in folders that are named like a split."""
    if (recognised := _recognise(folder, layouts)) is not None:
        return [(folder, recognised[1])]
    if depth == 0:
        return []
    folders = [below for below in list_entries(folder)[0] if below.name.lower() not in _place_names(layouts)]
    return [machine for below in folders for machine in _find_machines(below, layouts, depth=depth - 1)]


def _place_names(layouts: Mapping[str, Layout]) -> set[str]:
    folder_layouts = [layout for layout in layouts.values() if isinstance(layout, FolderLayout)]
    return {name.lower() for layout in folder_layouts for name in layout.places}


def _named_machines(root: Path, folders: list[tuple[Path, list[Clip]]]) -> dict[str, Machine]:
    """Machines by name: one for ``dev_data`` and ``eval_data``; others of one name get their path as a prefix."""
    groups: dict[tuple[str, ...], list[tuple[Path, list[Clip]]]] = defaultdict(list)
    for folder, clips in folders:
        parts = (part for part in folder.relative_to(root).parts[:-1] if part not in _PLUMBING)
        groups[(*parts, clips[0].machine_type)].append((folder, clips))
    n_uses = Counter(key[-1] for key in groups)
    machines: dict[str, Machine] = {}
    for key, members in groups.items():
        name = key[-1] if n_uses[key[-1]] == 1 else "_".join(key)
        if name in machines:
            raise DataError(
                f"its machine has the same name, {name}, as that of {machines[name].root}", path=members[0][0]
            )
        renamed = tuple(replace(clip, machine_type=name) for _, clips in members for clip in clips)
        machines[name] = Machine(name, members[0][0], renamed)
    return dict(sorted(machines.items()))


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


def _unread_problems(root: Path, found: Iterable[tuple[Path, list[Clip]]]) -> list[Problem]:
    """Problems, one for each machine's folder, of recordings that belong to no machine."""
    read = {clip.path for _, clips in found for clip in clips}
    try:
        others = [path for path in iter_audio(root) if path not in read]
    except DataError as error:
        return [Problem(root, f"cannot be searched for recordings that are not read ({error})", "warning")]
    if others:
        really_read = {path.resolve() for path in read}
        others = [path for path in others if path.resolve() not in really_read]
    machines = {folder for folder, _ in found}
    groups: dict[Path, list[Path]] = defaultdict(list)
    for path in others:
        groups[next((folder for folder in path.parents if folder in machines), root)].append(path)
    return [
        Problem(folder, f"{len(paths):,} recordings in it are not read, e.g. {paths[0].relative_to(folder)}", "warning")
        for folder, paths in groups.items()
    ]


def _problems_of(machine: Machine) -> list[Problem]:
    """Duplicate names, training clips labelled anomalous, supplemental clips of unknown kind."""
    problems = []
    first: dict[tuple[Split, str], Path] = {}
    for clip in machine.clips:
        other = first.setdefault((clip.split, clip_key(clip.path.name)), clip.path)
        if other != clip.path:
            problems.append(Problem(clip.path, f"same name as {other}, also of {machine.machine_type}"))
    if anomalous := [clip.path for clip in machine.train if clip.label == "anomaly"]:
        message = f"{len(anomalous):,} training clips are labelled anomalous, e.g. {anomalous[0].name}"
        problems.append(Problem(anomalous[0].parent, f"{message}; training refuses them"))
    if unknown := [clip.path for clip in machine.supplemental if clip.supplemental is None]:
        message = f"{len(unknown):,} clips with neither 'machine' nor 'noise' in their name, e.g. {unknown[0].name}"
        problems.append(Problem(unknown[0].parent, message, "warning"))
    return problems


def fingerprint(clips: Iterable[Clip]) -> str:
    """Fingerprint of a set of clips by their names, sizes and conditions, independent of their folder and order."""
    known = [
        (clip.machine_type, clip.path.name, clip.path.stat().st_size, str(condition_of(clip)), clip.section)
        for clip in clips
    ]
    return hashlib.sha256(json.dumps(sorted(known)).encode()).hexdigest()
