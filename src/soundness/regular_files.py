"""Files to read are files: a pipe, a device or a socket under their name is refused, and never waited for."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

__all__ = ["MOST_BYTES", "NotAFileError", "check_regular", "open_regular", "read_regular", "read_regular_text"]

MOST_BYTES = 1 << 30
"""Largest file that is read as a whole, unless more is asked for."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class NotAFileError(OSError):
    """A path leads to something that is no file.

    Parameters
    ----------
    kind
        A word for it, such as ``"a named pipe"``.
    path
        The path.
    """

    def __init__(self, kind: str, path: str | os.PathLike[str]) -> None:
        super().__init__(errno.EINVAL, f"{kind}, not a file", os.fspath(path))
        self.kind = kind


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a file to read its bytes.

    Raises
    ------
    OSError
        If it cannot be opened, or is no file; ``strerror`` says in words why.
    """
    _check(Path(path).stat().st_mode, path)  # some devices act when they are opened
    descriptor = os.open(path, _FLAGS)
    try:
        _check(os.fstat(descriptor).st_mode, path)  # of what was opened: another may have taken the name
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def check_regular(path: str | os.PathLike[str]) -> None:
    """Refuse a path that leads to something that is no file, before a library opens it; none at all may be there.

    Raises
    ------
    NotAFileError
        If it is a pipe, a device, a socket or a folder.
    """
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        return
    _check(mode, path)


def read_regular(path: str | os.PathLike[str], *, most_bytes: int = MOST_BYTES) -> bytes:
    """Bytes of a file that is not larger than memory should be asked for; see `open_regular`."""
    with open_regular(path) as file:
        n_bytes = os.fstat(file.fileno()).st_size  # a file with holes takes no room, and all of memory
        if n_bytes > most_bytes:
            raise OSError(errno.EFBIG, f"{n_bytes:,} bytes, over {most_bytes:,}", os.fspath(path))
        return file.read(n_bytes)  # a number of bytes is reserved at once, so no larger one


def read_regular_text(path: str | os.PathLike[str], *, encoding: str = "utf-8") -> str:
    """Text of a file; see `open_regular`."""
    return read_regular(path).decode(encoding)


def _check(mode: int, path: str | os.PathLike[str]) -> None:
    if not stat.S_ISREG(mode):
        raise NotAFileError(_KINDS.get(stat.S_IFMT(mode), "neither file nor folder"), path)
