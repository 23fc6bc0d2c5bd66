"""The challenge's data, from its public records to the folders that `open_dataset` reads."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, Field, ValidationError

from soundness.aliases import Announce, Progress
from soundness.data.download_folder import ArchiveKey, DownloadFolder, Part
from soundness.data.download_http import RemoteFile, RetryPolicy, fetch, fetch_text, md5_of
from soundness.errors import DownloadError, OutputError

__all__ = ["RECORDS", "ZENODO", "DownloadReport", "Part", "download"]

ZENODO = "https://zenodo.org/api"

RECORDS: dict[int, dict[Part, tuple[int, ...]]] = {
    2023: {"dev": (7882613,), "eval": (7830345, 7860847)},
    2024: {"dev": (10902294,), "eval": (11259435, 11363076)},
    2025: {"dev": (15097779,), "eval": (15392814, 15519362)},
    2026: {"dev": (19336329,), "eval": (20151556, 20437238)},
}
"""Zenodo records by year and part; of ``eval``, the training clips and then the test clips."""

_ARCHIVE = re.compile(
    r"(?:dev|eval_data)_(?P<machine>[A-Za-z0-9][A-Za-z0-9_]*?)(?:_(?P<split>train|test))?(?:_r(?P<revision>\d+))?\.zip"
)


class _Links(BaseModel):
    self: str


class _File(BaseModel):
    key: str
    size: int = Field(gt=0)
    checksum: str = Field(pattern=r"^md5:[0-9a-f]{32}$")
    links: _Links


class _Record(BaseModel):
    """What is read of Zenodo's description of a record."""

    files: list[_File]


@dataclass(frozen=True, slots=True)
class _Archive:
    slot: ArchiveKey
    revision: int
    key: str
    remote: RemoteFile


@dataclass(frozen=True, slots=True)
class DownloadReport:
    """What was done.

    Parameters
    ----------
    root
        The folder of the data set.
    fetched
        Names of the archives that were fetched and unpacked.
    present
        Names of those whose files were there already, complete.
    n_files
        Files of all these archives.
    machines
        The machines of each part.
    """

    root: Path
    fetched: tuple[str, ...]
    present: tuple[str, ...]
    n_files: int
    machines: dict[Part, tuple[str, ...]]


def download(
    year: int,
    out: Path,
    *,
    machines: Sequence[str] = (),
    part: Part | Literal["all"] = "all",
    keep_archives: bool = False,
    base_url: str = ZENODO,
    patience: RetryPolicy | None = None,
    progress: Progress | None = None,
    announce: Announce | None = None,
) -> DownloadReport:
    """Fetch a year's data of DCASE Task 2; see `soundness.benchmarking.challenge_submission.download`."""
    patience = RetryPolicy() if patience is None else patience
    announce = _nothing if announce is None else announce
    progress = _nothing if progress is None else progress
    offered = _offered(year, part, _checked_address(base_url), patience, announce)
    chosen = _chosen(offered, machines, year)
    shelf = DownloadFolder(out, year)
    missing = [archive for archive in chosen if not shelf.is_complete(archive.slot, archive.remote.md5)]
    shelf.refuse_foreign(archive.slot for archive in missing)
    _refuse_full_disk(shelf, missing, keep_archives=keep_archives)
    for _, together in groupby(missing, key=lambda archive: archive.slot[:2]):
        group = list(together)
        for archive in group:
            _fetch_archive(shelf, archive, patience, progress, announce)
        shelf.unpack({archive.slot: (archive.key, archive.remote.md5) for archive in group}, progress=progress)
        if not keep_archives:
            shelf.drop_archives(archive.key for archive in group)
    return DownloadReport(
        out,
        fetched=tuple(archive.key for archive in missing),
        present=tuple(archive.key for archive in chosen if archive not in missing),
        n_files=sum(shelf.n_files(archive.slot) for archive in chosen),
        machines=_machines(chosen),
    )


def _offered(
    year: int, part: Part | Literal["all"], base_url: str, patience: RetryPolicy, announce: Announce
) -> list[_Archive]:
    """The newest archive of each machine and split that a year's records hold, in the records' order of parts."""
    if year not in RECORDS:
        raise DownloadError(f"no data of the year {year}; there are {', '.join(map(str, RECORDS))}")
    if part not in (*get_args(Part), "all"):
        raise DownloadError(f"no part {part!r} of a year's data; there are dev, eval and all")
    newest: dict[ArchiveKey, _Archive] = {}
    for name, numbers in RECORDS[year].items():
        for number in numbers if part in (name, "all") else ():
            for archive in _archives(name, number, base_url, patience, announce):
                if archive.slot not in newest or newest[archive.slot].revision < archive.revision:
                    newest[archive.slot] = archive
    return [newest[slot] for slot in sorted(newest, key=lambda slot: (slot.part, slot.machine.lower(), slot.split))]


def _archives(part: Part, number: int, base_url: str, patience: RetryPolicy, announce: Announce) -> list[_Archive]:
    """The archives of machines in a record."""
    address = f"{base_url}/records/{number}"
    try:
        record = _Record.model_validate_json(fetch_text(address, patience=patience, announce=announce))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise DownloadError(f"{address}: not the description of a record ({where}: {first['msg']})") from None
    archives = []
    for file in record.files:
        if named := _ARCHIVE.fullmatch(file.key):
            # a mirror that copies the description serves the files itself
            is_own = file.links.self.startswith(f"{base_url}/")
            url = file.links.self if is_own else f"{address}/files/{quote(file.key)}/content"
            remote = RemoteFile(url, file.size, file.checksum.removeprefix("md5:"))
            slot = ArchiveKey(part, named["machine"], named["split"] or "")
            archives.append(_Archive(slot, int(named["revision"] or 1), file.key, remote))
    return archives


def _chosen(offered: Sequence[_Archive], machines: Sequence[str], year: int) -> list[_Archive]:
    names = {archive.slot.machine for archive in offered}
    for machine in machines:
        if machine not in names:
            near = get_close_matches(machine.lower(), (lower := {name.lower(): name for name in names}), n=1)
            suggestion = f" (did you mean {lower[near[0]]!r}?)" if near else ""
            there = "; ".join(f"{part}: {', '.join(found)}" for part, found in _machines(offered).items())
            raise DownloadError(
                f"no machine {machine!r} in the data of {year}{suggestion}; there are {there or 'none'}"
            )
    chosen = [archive for archive in offered if not machines or archive.slot.machine in machines]
    if not chosen:
        raise DownloadError(f"the records of {year} hold no archive of a machine, such as dev_fan.zip")
    return chosen


def _machines(archives: Iterable[_Archive]) -> dict[Part, tuple[str, ...]]:
    found: dict[Part, dict[str, None]] = {}
    for archive in archives:
        found.setdefault(archive.slot.part, {})[archive.slot.machine] = None
    return {part: tuple(names) for part, names in found.items()}


def _fetch_archive(
    shelf: DownloadFolder,
    archive: _Archive,
    patience: RetryPolicy,
    progress: Progress,
    announce: Announce,
) -> None:
    """Bring an archive onto the shelf, where it does not lie there already."""
    file = shelf.archive(archive.key)
    if file.exists() and md5_of(file) == archive.remote.md5:
        announce(f"{file}: there already")
        return
    fetch(
        archive.remote,
        file,
        patience=patience,
        announce=announce,
        progress=lambda done, total: progress(archive.key, done, total),
    )


def _refuse_full_disk(shelf: DownloadFolder, missing: Sequence[_Archive], *, keep_archives: bool) -> None:
    """Refuse what certainly does not fit: recordings unpack to no less than their archives."""
    sizes = [archive.remote.size for archive in missing]
    kept = sum(sizes) if keep_archives else max(sizes, default=0)
    there = sum(shelf.n_bytes_there(archive.key) for archive in missing)
    needed, free = sum(sizes) + kept - min(there, kept), shelf.n_bytes_free()
    if needed > free:
        raise OutputError(
            f"{shelf.root}: {len(missing)} archive(s) and what they hold need at least {needed / 1e9:,.1f} GB, "
            f"{free / 1e9:,.1f} GB are free"
        )


def _checked_address(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", base_url)
    except ValueError:
        is_address = False
    if not is_address:
        raise DownloadError(f"{base_url}: expected an address such as {ZENODO}")
    return base_url.rstrip("/")


def _nothing(*_: object) -> None:
    """Tell nobody."""
