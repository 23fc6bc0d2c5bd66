"""Unpack zip archives of unknown origin, after checking all of their members."""

import os
import reprlib
import shutil
import stat
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from soundness.aliases import CountProgress
from soundness.errors import DownloadError, OutputError
from soundness.files.atomic import output_errors

__all__ = ["is_inside", "unpack"]

_LARGEST_RATIO = 20  # recordings shrink to about nine tenths; an archive that unpacks to more than this holds none
_MOST_MEMBERS = 100_000
_LARGEST_DIRECTORY = 1024 * _MOST_MEMBERS  # bytes
_LONGEST_END = 22 + (1 << 16) + 76  # bytes of the records at the end, with the longest comment
_DEEPEST = 16  # folders
_LONGEST_NAME = 255  # bytes
_JUNK = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"})
_BLOCK_BYTES = 1 << 20
_BROKEN = (BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError, RecursionError, struct.error)

Arrange = Callable[[Sequence[PurePosixPath]], Sequence[PurePosixPath]]


def unpack(
    archive: Path, folder: Path, *, arrange: Arrange, progress: CountProgress | None = None
) -> dict[PurePosixPath, int]:
    """Unpack a zip archive whose every member stays inside a folder, which is made if it does not exist.

    All members are checked before the first is written. Hidden files of desktops are left out; a member is read up to
    its declared size, and must then have its checksum.

    Parameters
    ----------
    archive, folder
        The zip file, and the folder of its files.
    arrange
        Maps the paths of the files in the archive to their paths in `folder`.
    progress
        Called with the number of files done and the total.

    Returns
    -------
    dict
        Size in bytes of each file by its path in `folder`.

    Raises
    ------
    DownloadError
        If the file is no intact zip archive, or is not safe to unpack.
    OutputError
        If a file cannot be written, or the disk is too small.
    """
    _refuse_long_directory(archive)
    try:
        with ZipFile(archive) as opened:
            members = _checked_members(opened, archive)
            targets = _checked_targets(arrange([path for _, path in members]), archive)
            _refuse_too_large([member for member, _ in members], archive, folder)
            for done, ((member, _), target) in enumerate(zip(members, targets, strict=True), start=1):
                _write(opened, member, folder / target)
                if progress is not None:
                    progress(done, len(members))
    except _BROKEN as error:
        raise DownloadError(f"{archive}: not an intact zip archive: {error}") from None
    return {target: member.file_size for (member, _), target in zip(members, targets, strict=True)}


def is_inside(name: str) -> bool:
    r"""True if a relative path stays below its folder on every operating system.

    False for ``..``, an absolute path, a drive (``C:``), a share (``\\server``), a stream of a file (``a:b``) and a
    name with control characters.
    """
    path = PureWindowsPath(name)  # takes both kinds of slash for one
    return (
        bool(path.parts) and not path.anchor and ".." not in path.parts and not any(c == ":" or c < " " for c in name)
    )


def _refuse_long_directory(archive: Path) -> None:
    """Refuse an archive of too many members before its directory is read, which takes a minute for a million."""
    with archive.open("rb") as file:
        n_bytes = file.seek(0, os.SEEK_END)
        file.seek(max(0, n_bytes - _LONGEST_END))
        tail = file.read()
    place = tail.rfind(b"PK\5\6")
    if place < 0 or len(tail) < place + 22:
        return  # no archive, as will be said
    size = int.from_bytes(tail[place + 12 : place + 16], "little")
    large = tail.rfind(b"PK\6\6", 0, place)  # of an archive beyond 4 GB
    if size == 0xFFFFFFFF and large >= 0:
        size = int.from_bytes(tail[large + 40 : large + 48], "little")
    if size > _LARGEST_DIRECTORY:
        raise DownloadError(
            f"{archive}: its directory takes {size:,} bytes; at most {_MOST_MEMBERS:,} files are expected"
        )


def _checked_members(opened: ZipFile, archive: Path) -> list[tuple[ZipInfo, PurePosixPath]]:
    """Files of an archive and their paths in it."""
    members = []
    for member in opened.infolist():
        path = _checked_path(member, archive)
        if not (member.is_dir() or _JUNK.intersection(path.parts)):
            members.append((member, path))
    return members


def _checked_path(member: ZipInfo, archive: Path) -> PurePosixPath:
    name, kind = member.orig_filename, stat.S_IFMT(member.external_attr >> 16)
    shown = reprlib.repr(name)
    if not is_inside(name):
        raise DownloadError(f"{archive}: its member {shown} would lie outside the folder; nothing of it was unpacked")
    parts = PureWindowsPath(name).parts
    if len(parts) > _DEEPEST or any(len(part.encode("utf-8", "surrogatepass")) > _LONGEST_NAME for part in parts):
        raise DownloadError(
            f"{archive}: its member {shown} lies {len(parts) - 1} folders deep or has a name that no disk takes; "
            f"nothing of it was unpacked"
        )
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link" if kind == stat.S_IFLNK else "neither a file nor a folder"
        raise DownloadError(f"{archive}: its member {shown} is {what}; nothing of it was unpacked")
    if member.flag_bits & 0x1:
        raise DownloadError(f"{archive}: its member {shown} is encrypted; nothing of it was unpacked")
    if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise DownloadError(f"{archive}: its member {shown} is packed in a way that is not read; expected deflate")
    return PurePosixPath(PureWindowsPath(name).as_posix())


def _checked_targets(targets: Sequence[PurePosixPath], archive: Path) -> Sequence[PurePosixPath]:
    seen: set[PurePosixPath] = set()
    for target in targets:
        if target in seen:
            raise DownloadError(f"{archive}: two of its members would be {target}; nothing of it was unpacked")
        seen.add(target)
    return targets


def _refuse_too_large(members: Iterable[ZipInfo], archive: Path, folder: Path) -> None:
    """Refuse an archive that cannot be one of recordings, or is too large for the disk."""
    sizes, packed = [member.file_size for member in members], archive.stat().st_size
    if len(sizes) > _MOST_MEMBERS or sum(sizes) > _LARGEST_RATIO * packed:
        raise DownloadError(
            f"{archive}: {packed:,} bytes that unpack to {len(sizes):,} files of {sum(sizes):,} bytes; at most "
            f"{_MOST_MEMBERS:,} files and {_LARGEST_RATIO} times the bytes are expected of recordings"
        )
    free = shutil.disk_usage(next(parent for parent in folder.absolute().parents if parent.exists())).free
    if sum(sizes) > free:
        raise OutputError(f"{folder}: {archive.name} unpacks to {sum(sizes):,} bytes, but {free:,} are free there")


def _write(opened: ZipFile, member: ZipInfo, file: Path) -> None:
    with output_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as target:
            for block in _blocks(opened, member):
                target.write(block)


def _blocks(opened: ZipFile, member: ZipInfo) -> Iterator[bytes]:
    """Content of a member up to its declared size; `zipfile` compares its checksum at the end."""
    try:
        with opened.open(member) as source:
            while block := source.read(_BLOCK_BYTES):
                yield block
    except OSError as error:  # of reading, not of writing
        raise BadZipFile(str(error)) from None
