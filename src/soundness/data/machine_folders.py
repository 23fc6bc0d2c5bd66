"""Folders of machines: which folder below a root holds the recordings of which machine."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from soundness.data.clips import Clip
from soundness.data.finding import list_folders
from soundness.data.folder_names import is_time_folder, path_key, plain_name, state_name
from soundness.data.layouts import FLAT, FolderLayout, Layout, machine_name
from soundness.errors import DataError

__all__ = ["MachineFolder", "find_machine_folders", "group_by_name"]

_PLUMBING = frozenset({"dev_data", "eval_data", "raw"})  # folders of the challenge that name no machine
_MAX_DEPTH = 12


@dataclass(frozen=True, slots=True)
class MachineFolder:
    """Folder of a machine with its clips; ``is_flat`` if they are neither training nor test clips by their folders."""

    folder: Path
    clips: list[Clip]
    is_flat: bool


def find_machine_folders(root: Path, layouts: Mapping[str, Layout]) -> list[MachineFolder]:
    """Find the machines in a folder or below it.

    A folder that a layout knows is one machine. So is a folder that holds recordings itself, with all that is below it,
    unless a layout knows a folder below; and one whose recordings lie in folders that are named after times.

    Raises
    ------
    DataError
        If the root cannot be listed.
    """
    list_folders(root)
    return _Search(layouts).below(root, depth=_MAX_DEPTH, is_below_time=False)


def group_by_name(root: Path, folders: Iterable[MachineFolder]) -> dict[str, list[MachineFolder]]:
    """Folders of each machine by its name, in alphabetical order.

    ``dev_data`` and ``eval_data`` of a machine are one, and so are its folders of several days; others of one name get
    their path as a prefix.

    Raises
    ------
    DataError
        If two machines would have the same name.
    """
    groups: dict[tuple[str, ...], list[MachineFolder]] = defaultdict(list)
    for each in folders:
        groups[_name_parts(root, each)].append(each)
    n_uses = Counter(parts[-1] for parts in groups)
    named: dict[str, list[MachineFolder]] = {}
    for parts, members in groups.items():
        name = parts[-1] if n_uses[parts[-1]] == 1 else "_".join(parts)
        if name in named:
            raise DataError(
                f"its machine has the same name, {name}, as that of {named[name][0].folder}", path=members[0].folder
            )
        named[name] = members
    return dict(sorted(named.items()))


def _name_parts(root: Path, found: MachineFolder) -> tuple[str, ...]:
    """Name of a machine, and before it those of the folders above; folders of times and of the challenge are none."""
    own = found.clips[0].machine_type
    if own != machine_name(found.folder):  # of a layout that names machines in its own way
        return own, *()
    parts, is_time = [], False
    for name in found.folder.relative_to(root).parts:
        is_time = is_time_folder(name, is_below_one=is_time)
        if not is_time and name not in _PLUMBING:
            parts.append(name)
    return (*parts[:-1], machine_name(Path(parts[-1]))) if parts else (machine_name(root),)


class _Search:
    def __init__(self, layouts: Mapping[str, Layout]) -> None:
        self._layouts = layouts
        places = [layout for layout in layouts.values() if isinstance(layout, FolderLayout)]
        self._places = {plain_name(name) for layout in places for name in layout.places}
        self._seen: set[tuple[int, int]] = set()

    def below(self, folder: Path, *, depth: int, is_below_time: bool) -> list[MachineFolder]:
        """Machines of a folder that can be listed."""
        name, own = self._recognised(folder)
        if name != FLAT and own:
            return [MachineFolder(folder, own, is_flat=False)]
        found: list[MachineFolder] = []
        joined: list[Clip] = []
        for below in self._folders(folder) if depth > 0 else ():
            is_time = is_time_folder(below.name, is_below_one=is_below_time)
            machines = self.below(below, depth=depth - 1, is_below_time=is_time)
            for each in machines:
                if each.is_flat and (own or (is_time and each.folder == below)):
                    joined += each.clips
                else:
                    found.append(each)
        if any(not each.is_flat for each in found):
            own = []  # stray recordings beside folders of machines
        clips = [replace(clip, machine_type=machine_name(folder)) for clip in (*own, *joined)]
        return [MachineFolder(folder, clips, is_flat=True), *found] if clips else found

    def _recognised(self, folder: Path) -> tuple[str, list[Clip]]:
        """Name of the last layout that recognises a folder, and the clips in it."""
        for name, layout in reversed(list(self._layouts.items())):
            if clips := layout.read(folder):
                return name, list(clips)
        return "", []

    def _folders(self, folder: Path) -> list[Path]:
        """Folders in a folder that may hold machines: links last, each once, without those that cannot be listed."""
        kept = []
        folders = [below for below in list_folders(folder) if state_name(below.name) not in self._places]
        for below in sorted(folders, key=lambda path: (path.is_symlink(), path_key(path))):
            try:
                status = below.stat()
                os.scandir(below).close()
            except OSError:  # `unread_problems` names it
                continue
            identity = (status.st_dev, status.st_ino)
            if identity not in self._seen or not status.st_ino:
                self._seen.add(identity)
                kept.append(below)
        return kept
