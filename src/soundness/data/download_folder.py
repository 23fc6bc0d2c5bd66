"""A data set that comes in archives: which of them are unpacked in it, and whether all their files are still there."""

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

__all__ = ["ArchiveKey", "DownloadFolder", "Part"]

Part = Literal["dev", "eval"]


class ArchiveKey(NamedTuple):
    """What an archive is of: a part of the year's data, a machine, and a split where it holds no other."""

    part: Part
    machine: str
    split: str

    @property
    def name(self) -> str:
        """The name of its receipt."""
        return "_".join(filter(None, self))


class _Receipt(BaseModel):
    """What was unpacked of an archive; it is written before the files get their names, so that no file is nobody's."""

    year: int
    archive: str
    md5: str
    files: dict[str, int]


class DownloadFolder:
    """The folder of a data set: machines in ``<part>_data/raw``, archives and receipts in ``archives``.

    Parameters
    ----------
    root
        The folder, which need not exist.
    year
        Of the challenge.

    Raises
    ------
    OutputError
        If there is a file of that name, or data of another year in it, or a receipt in it cannot be read.
    """

    def __init__(self, root: Path, year: int) -> None:
        self.root = root
        self._year = year
        self._archives = root / "archives"
        try:
            self._archives.mkdir(parents=True, exist_ok=True)
            self._receipts = {file.stem: _read_receipt(file) for file in sorted(self._archives.glob("*.json"))}
        except OSError as error:
            raise OutputError(f"{root}: no folder that can be written to: {error.strerror}") from None
        for receipt in self._receipts.values():
            if receipt.year != year:
                raise OutputError(
                    f"{root}: holds the data of {receipt.year}; those of {year} need a folder of their own"
                )

    def archive(self, key: str) -> Path:
        """Where the archive of a name lies."""
        return self._archives / key

    def folder(self, slot: ArchiveKey) -> Path:
        """The folder of a machine."""
        return self.root / f"{slot.part}_data" / "raw" / slot.machine

    def n_files(self, slot: ArchiveKey) -> int:
        """How many files an archive brought."""
        return len(self._receipts[slot.name].files)

    def n_bytes_there(self, key: str) -> int:
        """How much of an archive is there."""
        files = (self.archive(key), self.archive(f"{key}.partial"))
        return max(file.stat().st_size if file.exists() else 0 for file in files)

    def n_bytes_free(self) -> int:
        """The space on the disk."""
        return shutil.disk_usage(self._archives).free

    def is_complete(self, slot: ArchiveKey, md5: str) -> bool:
        """Whether the archive with this checksum was unpacked, and all its files are there in their size."""
        receipt = self._receipts.get(slot.name)
        if receipt is None or receipt.md5 != md5:
            return False
        folder = self.folder(slot)
        return all(_size(folder / name) == size for name, size in receipt.files.items())

    def refuse_foreign(self, slots: Iterable[ArchiveKey]) -> None:
        """Refuse to put files among others that came from elsewhere.

        Raises
        ------
        OutputError
            If the folder of a machine holds something, and no receipt speaks of it.
        """
        for slot in slots:
            folder = self.folder(slot)
            has_receipt = any(slot._replace(split=split).name in self._receipts for split in ("", "train", "test"))
            if not has_receipt and os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
                raise OutputError(
                    f"{folder}: was not put there by soundness download; move it away, or choose another --out"
                )

    def unpack(self, archives: Mapping[ArchiveKey, tuple[str, str]], *, progress: Progress) -> None:
        """Unpack the archives of one machine beside its folder, and then move all of it there.

        Parameters
        ----------
        archives
            Name and MD5 of each.
        progress
            Is told what is unpacked, how many of its files are done, and of how many.
        """
        folder = self.folder(next(iter(archives)))
        staging = folder.with_name(f".{folder.name}.unpacking")
        try:
            shutil.rmtree(staging, ignore_errors=True)
            receipts = {
                slot: self._unpacked(slot, key, md5, staging, progress) for slot, (key, md5) in archives.items()
            }
            self._refuse_others_files(folder, receipts)
            for slot, receipt in receipts.items():
                self._write_receipt(slot, receipt)
            _move(staging, folder)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written: {error.strerror}") from None
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def drop_archives(self, keys: Iterable[str]) -> None:
        """Delete archives."""
        for key in keys:
            self.archive(key).unlink(missing_ok=True)

    def _unpacked(self, slot: ArchiveKey, key: str, md5: str, staging: Path, progress: Progress) -> _Receipt:
        files = unpack(
            self.archive(key),
            staging,
            arrange=lambda paths: _arrange(paths, slot, key),
            progress=lambda done, total: progress(f"unpacking {key}", done, total),
        )
        return _Receipt(
            year=self._year, archive=key, md5=md5, files={str(path): size for path, size in sorted(files.items())}
        )

    def _refuse_others_files(self, folder: Path, receipts: Mapping[ArchiveKey, _Receipt]) -> None:
        """Refuse to replace a file that did not come from an earlier version of the same archive."""
        for slot, receipt in receipts.items():
            before = self._receipts.get(slot.name)
            own = set() if before is None else before.files.keys()
            for name in receipt.files.keys() - own:
                if os.path.lexists(folder / name):
                    raise OutputError(
                        f"{folder / name}: not replaced by that of {receipt.archive}; it came from elsewhere"
                    )

    def _write_receipt(self, slot: ArchiveKey, receipt: _Receipt) -> None:
        """Delete what only an earlier version of the archive held, and note what this one holds."""
        before = self._receipts.get(slot.name)
        for name in set() if before is None else before.files.keys() - receipt.files.keys():
            (self.folder(slot) / name).unlink(missing_ok=True)
        file = self._archives / f"{slot.name}.json"
        new = file.with_suffix(".new")
        new.write_text(receipt.model_dump_json(indent=1), encoding="utf-8")
        new.replace(file)
        self._receipts[slot.name] = receipt


def _read_receipt(file: Path) -> _Receipt:
    try:
        receipt = _Receipt.model_validate_json(file.read_text(encoding="utf-8"))
        if all(map(is_inside, receipt.files)):
            return receipt
    except (ValidationError, UnicodeDecodeError):
        pass
    raise OutputError(f"{file}: not what soundness download noted there; delete it, and its files are fetched anew")


def _arrange(paths: Sequence[PurePosixPath], slot: ArchiveKey, key: str) -> list[PurePosixPath]:
    """Paths in a machine's folder: from the split's folder on; of files beside those, the name alone.

    The tables of a test archive get its split into their name, for the training archive has tables of the same name.
    """
    splits = [
        next((index for index, part in enumerate(path.parts[:-1]) if part in DCASE.places), None) for path in paths
    ]
    above = {path.parts[:index] for path, index in zip(paths, splits, strict=True) if index is not None}
    if len(above) != 1:
        found = " and ".join(sorted("/".join(parts) or "." for parts in above)) or str(next(iter(paths), "nothing"))
        raise DownloadError(f"{key}: expected the folder of one machine with train/ or test/ in it, found {found}")
    suffix = "_test" if slot.split == "test" else ""
    return [
        PurePosixPath(f"{path.stem}{suffix}{path.suffix}") if index is None else PurePosixPath(*path.parts[index:])
        for path, index in zip(paths, splits, strict=True)
    ]


def _move(source: Path, target: Path) -> None:
    """Rename, where there is nothing of that name; else merge folders, and replace files."""
    if source.is_dir() and target.is_dir():
        for entry in sorted(source.iterdir()):
            _move(entry, target / entry.name)
    else:
        source.replace(target)


def _size(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None
