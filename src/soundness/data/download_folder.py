"""Folder of a data set that comes in archives, with a receipt of each archive that was unpacked in it."""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from pydantic import BaseModel, ValidationError

from soundness.aliases import Progress
from soundness.data.download_archives import is_inside, unpack
from soundness.data.layouts import DCASE
from soundness.errors import DownloadError, OutputError
from soundness.files.atomic import PARTIAL_SUFFIX, output_errors, write_whole
from soundness.regular_files import NotAFileError, read_regular

__all__ = ["ArchiveKey", "DownloadFolder", "Part"]

Part = Literal["dev", "eval"]


class ArchiveKey(NamedTuple):
    """Contents of an archive: a part of the year's data, a machine, and a split if it holds only one."""

    part: Part
    machine: str
    split: str

    @property
    def name(self) -> str:
        """Name of its receipt."""
        return "_".join(filter(None, self))


class _Receipt(BaseModel):
    """Files of an archive, by size; written before they are moved into place, so that none lacks a receipt."""

    year: int
    archive: str
    md5: str
    files: dict[str, int]


class DownloadFolder:
    """Folder of a data set: machines in ``<part>_data/raw``, archives and receipts in ``archives``.

    Parameters
    ----------
    root
        The folder; made if it does not exist.
    year
        Year of the challenge.

    Raises
    ------
    OutputError
        If it is a file, holds data of another year, or a receipt in it cannot be read.
    """

    def __init__(self, root: Path, year: int) -> None:
        self.root = root
        self._year = year
        self._archives = root / "archives"
        with output_errors(root):
            self._archives.mkdir(parents=True, exist_ok=True)
            self._receipts = {file.stem: _read_receipt(file) for file in sorted(self._archives.glob("*.json"))}
        for receipt in self._receipts.values():
            if receipt.year != year:
                raise OutputError(
                    f"{root}: holds the data of {receipt.year}; those of {year} need a folder of their own"
                )

    def archive(self, name: str) -> Path:
        """Path of an archive."""
        return self._archives / name

    def folder(self, key: ArchiveKey) -> Path:
        """Folder of a machine."""
        return self.root / f"{key.part}_data" / "raw" / key.machine

    def n_files(self, key: ArchiveKey) -> int:
        """Number of files of an unpacked archive."""
        return len(self._receipts[key.name].files)

    def n_bytes_there(self, name: str) -> int:
        """Number of bytes of an archive that are there."""
        files = (self.archive(name), self.archive(f"{name}{PARTIAL_SUFFIX}"))
        return max(file.stat().st_size if file.exists() else 0 for file in files)

    def n_bytes_free(self) -> int:
        """Free space on the disk in bytes."""
        return shutil.disk_usage(self._archives).free

    def is_complete(self, key: ArchiveKey, md5: str) -> bool:
        """True if the archive with this checksum was unpacked, and all its files are there with their sizes."""
        receipt = self._receipts.get(key.name)
        if receipt is None or receipt.md5 != md5:
            return False
        folder = self.folder(key)
        return all(_size(folder / name) == size for name, size in receipt.files.items())

    def refuse_foreign(self, keys: Iterable[ArchiveKey]) -> None:
        """Refuse machines whose folders hold files from elsewhere.

        Raises
        ------
        OutputError
            If the folder of a machine is not empty and has no receipt.
        """
        for key in keys:
            folder = self.folder(key)
            has_receipt = any(key._replace(split=split).name in self._receipts for split in ("", "train", "test"))
            if not has_receipt and os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
                raise OutputError(
                    f"{folder}: was not put there by soundness download; move it away, or choose another --out"
                )

    def unpack(self, archives: Mapping[ArchiveKey, tuple[str, str]], *, progress: Progress) -> None:
        """Unpack the archives of one machine, with their name and MD5, beside its folder, then move all files there."""
        folder = self.folder(next(iter(archives)))
        staging = folder.with_name(f".{folder.name}.unpacking")
        shutil.rmtree(staging, ignore_errors=True)
        try:
            with output_errors(folder):
                receipts = {
                    key: self._unpacked(key, name, md5, staging, progress) for key, (name, md5) in archives.items()
                }
                self._refuse_others_files(folder, receipts)
                for key, receipt in receipts.items():
                    self._write_receipt(key, receipt)
                _move(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def drop_archives(self, names: Iterable[str]) -> None:
        """Delete archives."""
        for name in names:
            self.archive(name).unlink(missing_ok=True)

    def _unpacked(self, key: ArchiveKey, name: str, md5: str, staging: Path, progress: Progress) -> _Receipt:
        files = unpack(
            self.archive(name),
            staging,
            arrange=lambda paths: _arrange(paths, key, name),
            progress=lambda done, total: progress(f"unpacking {name}", done, total),
        )
        sizes = {str(path): size for path, size in sorted(files.items())}
        return _Receipt(year=self._year, archive=name, md5=md5, files=sizes)

    def _refuse_others_files(self, folder: Path, receipts: Mapping[ArchiveKey, _Receipt]) -> None:
        """Refuse to replace a file that did not come from an earlier version of the same archive."""
        for key, receipt in receipts.items():
            before = self._receipts.get(key.name)
            own = set() if before is None else before.files.keys()
            for name in receipt.files.keys() - own:
                if os.path.lexists(folder / name):
                    raise OutputError(
                        f"{folder / name}: not replaced by that of {receipt.archive}; it came from elsewhere"
                    )

    def _write_receipt(self, key: ArchiveKey, receipt: _Receipt) -> None:
        """Delete files that only an earlier version of the archive held, and write the receipt of this one."""
        before = self._receipts.get(key.name)
        for name in set() if before is None else before.files.keys() - receipt.files.keys():
            (self.folder(key) / name).unlink(missing_ok=True)
        write_whole(self._archives / f"{key.name}.json", receipt.model_dump_json(indent=1))
        self._receipts[key.name] = receipt


def _read_receipt(file: Path) -> _Receipt:
    try:
        receipt = _Receipt.model_validate_json(read_regular(file))
        if all(map(is_inside, receipt.files)):
            return receipt
    except (ValidationError, UnicodeDecodeError, NotAFileError):
        pass
    raise OutputError(f"{file}: not a receipt of soundness download; delete it, and its files are fetched anew")


def _arrange(paths: Sequence[PurePosixPath], key: ArchiveKey, archive: str) -> list[PurePosixPath]:
    """Paths in a machine's folder: from the split's folder on, or the name alone for files beside those folders.

    Tables of a test archive get ``_test`` in their names, for those of the training archive have the same names.
    """
    splits = [
        next((index for index, part in enumerate(path.parts[:-1]) if part in DCASE.places), None) for path in paths
    ]
    above = {path.parts[:index] for path, index in zip(paths, splits, strict=True) if index is not None}
    if len(above) != 1:
        found = " and ".join(sorted("/".join(parts) or "." for parts in above)) or str(next(iter(paths), "nothing"))
        raise DownloadError(f"{archive}: expected the folder of one machine with train/ or test/ in it, found {found}")
    suffix = "_test" if key.split == "test" else ""
    return [
        PurePosixPath(f"{path.stem}{suffix}{path.suffix}") if index is None else PurePosixPath(*path.parts[index:])
        for path, index in zip(paths, splits, strict=True)
    ]


def _move(source: Path, target: Path) -> None:
    """Rename a file or folder; if the target exists, merge folders and replace files."""
    if source.is_dir() and target.is_dir():
        for entry in sorted(source.iterdir()):
            _move(entry, target / entry.name)
    else:
        source.replace(target)


def _size(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None
