"""Download the challenge's data, from its public records to folders that `open_dataset` reads."""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, Field, ValidationError

from soundness.aliases import PathLike, Progress
from soundness.data.download_folder import ArchiveKey, DownloadFolder, Part
from soundness.data.download_http import RemoteFile, RetryPolicy, fetch, fetch_text, md5_of
from soundness.errors import DownloadError, OutputError
from soundness.files.run_folders import locked_folder

__all__ = ["RECORDS", "ZENODO", "DownloadReport", "Part", "download"]

ZENODO = "https://zenodo.org/api"

RECORDS: dict[int, dict[Part, tuple[int, ...]]] = {
    2023: {"dev": (7882613,), "eval": (7830345, 7860847)},
    2024: {"dev": (10902294,), "eval": (11259435, 11363076)},
    2025: {"dev": (15097779,), "eval": (15392814, 15519362)},
    2026: {"dev": (19336329,), "eval": (20151556, 20437238)},
}
"""Zenodo records by year and part; of ``eval``, the training clips and then the test clips."""

_DEFAULT_RETRY = RetryPolicy()
_LOGGER = logging.getLogger(__name__)
_ARCHIVE = re.compile(
    r"(?:dev|eval_data)_(?P<machine>[A-Za-z0-9][A-Za-z0-9_]{0,99}?)(?:_(?P<split>train|test))?(?:_r(?P<revision>[0-9]{1,9}))?\.zip"
)


class _Links(BaseModel):
    self: str


class _File(BaseModel):
    key: str
    size: int = Field(gt=0, lt=2**63)
    checksum: str = Field(pattern=r"^md5:[0-9a-f]{32}$")
    links: _Links


class _Record(BaseModel):
    """The part of Zenodo's description of a record that is used."""

    files: list[_File]


@dataclass(frozen=True, slots=True)
class _Archive:
    key: ArchiveKey
    revision: int
    name: str
    remote: RemoteFile


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadReport:
    """Names of the archives that were fetched, and of those whose files were there, complete.

    ``n_files`` counts the files of all these archives; ``machines`` are those of each part.
    """

    root: Path
    fetched: tuple[str, ...]
    present: tuple[str, ...]
    n_files: int
    machines: dict[Part, tuple[str, ...]]


def download(
    year: int,
    out: PathLike,
    *,
    machines: Sequence[str] = (),
    part: Part | Literal["all"] = "all",
    keep_archives: bool = False,
    base_url: str | None = None,
    retry: RetryPolicy = _DEFAULT_RETRY,
    progress: Progress | None = None,
) -> DownloadReport:
    """Fetch the public data of DCASE Task 2 of a year, and unpack them for `open_dataset`.

    Complete data are not fetched again; an interrupted download is continued. Retries are logged.

    Parameters
    ----------
    year
        Year of the challenge, 2023 or later.
    out
        Folder of the data set, for this year alone: ``<out>/{dev_data,eval_data}/raw/<machine>``, and a record of the
        archives in ``<out>/archives``.
    machines
        Machine types; all if empty.
    part
        ``dev`` (with labels), ``eval`` or ``all``.
    keep_archives
        Keep the zip files in ``<out>/archives``.
    base_url
        A server with the interface of Zenodo; Zenodo itself if ``None``.
    retry
        Number of tries and waits.
    progress
        Called with the archive, the number of its bytes or files done, and their total.

    Raises
    ------
    DownloadError
        If there is no such year, part or machine; if a file does not come, differs from its record, or is no archive
        that is safe to unpack.
    OutputError
        If ``out`` cannot be written, is too small, or holds other data in these places.
    """
    progress = _ignore if progress is None else progress
    offered = _offered(year, part, _checked_address(ZENODO if base_url is None else base_url), retry)
    chosen = _chosen(offered, machines, year)
    with locked_folder(Path(out), kind="download"):
        folder = DownloadFolder(Path(out), year)
        missing = [archive for archive in chosen if not folder.is_complete(archive.key, archive.remote.md5)]
        folder.refuse_foreign(archive.key for archive in missing)
        _refuse_full_disk(folder, missing, keep_archives=keep_archives)
        for _, together in groupby(missing, key=lambda archive: archive.key[:2]):
            group = list(together)
            for archive in group:
                _fetch_archive(folder, archive, retry, progress)
            folder.unpack({archive.key: (archive.name, archive.remote.md5) for archive in group}, progress=progress)
            if not keep_archives:
                folder.drop_archives(archive.name for archive in group)
    return DownloadReport(
        root=folder.root,
        fetched=tuple(archive.name for archive in missing),
        present=tuple(archive.name for archive in chosen if archive not in missing),
        n_files=sum(folder.n_files(archive.key) for archive in chosen),
        machines=_machines(chosen),
    )


def _offered(year: int, part: Part | Literal["all"], base_url: str, retry: RetryPolicy) -> list[_Archive]:
    """Newest archive of each machine and split in a year's records, by part, machine and split."""
    if year not in RECORDS:
        raise DownloadError(f"no data of the year {year}; there are {', '.join(map(str, RECORDS))}")
    if part not in (*get_args(Part), "all"):
        raise DownloadError(f"no part {part!r} of a year's data; there are dev, eval and all")
    newest: dict[ArchiveKey, _Archive] = {}
    for name, numbers in RECORDS[year].items():
        for number in numbers if part in (name, "all") else ():
            for archive in _archives(name, number, base_url, retry):
                if archive.key not in newest or newest[archive.key].revision < archive.revision:
                    newest[archive.key] = archive
    return [newest[key] for key in sorted(newest, key=lambda key: (key.part, key.machine.lower(), key.split))]


def _archives(part: Part, number: int, base_url: str, retry: RetryPolicy) -> list[_Archive]:
    """Archives of machines in a record."""
    address = f"{base_url}/records/{number}"
    try:
        record = _Record.model_validate_json(fetch_text(address, retry=retry))
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
            key = ArchiveKey(part, named["machine"], named["split"] or "")
            archives.append(_Archive(key, int(named["revision"] or 1), file.key, remote))
    return archives


def _chosen(offered: Sequence[_Archive], machines: Sequence[str], year: int) -> list[_Archive]:
    names = {archive.key.machine for archive in offered}
    for machine in machines:
        if machine not in names:
            near = get_close_matches(machine.lower(), (lower := {name.lower(): name for name in names}), n=1)
            suggestion = f" (did you mean {lower[near[0]]!r}?)" if near else ""
            there = "; ".join(f"{part}: {', '.join(found)}" for part, found in _machines(offered).items())
            raise DownloadError(
                f"no machine {machine!r} in the data of {year}{suggestion}; there are {there or 'none'}"
            )
    chosen = [archive for archive in offered if not machines or archive.key.machine in machines]
    if not chosen:
        raise DownloadError(f"the records of {year} hold no archive of a machine, such as dev_fan.zip")
    return chosen


def _machines(archives: Iterable[_Archive]) -> dict[Part, tuple[str, ...]]:
    found: dict[Part, dict[str, None]] = {}
    for archive in archives:
        found.setdefault(archive.key.part, {})[archive.key.machine] = None
    return {part: tuple(names) for part, names in found.items()}


def _fetch_archive(folder: DownloadFolder, archive: _Archive, retry: RetryPolicy, progress: Progress) -> None:
    """Fetch an archive unless it is there already."""
    file = folder.archive(archive.name)
    if file.exists() and md5_of(file) == archive.remote.md5:
        _LOGGER.info("%s: there already", file)
        return
    fetch(archive.remote, file, retry=retry, progress=lambda done, total: progress(archive.name, done, total))


def _refuse_full_disk(folder: DownloadFolder, missing: Sequence[_Archive], *, keep_archives: bool) -> None:
    """Refuse archives that cannot fit: recordings unpack to no less than their archives."""
    sizes = [archive.remote.size for archive in missing]
    kept = sum(sizes) if keep_archives else max(sizes, default=0)
    there = sum(folder.n_bytes_there(archive.name) for archive in missing)
    needed, free = sum(sizes) + kept - min(there, kept), folder.n_bytes_free()
    if needed > free:
        raise OutputError(
            f"{folder.root}: {len(missing)} archive(s) and what they hold need at least {needed / 1e9:,.1f} GB, "
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


def _ignore(*_: object) -> None:
    """Show no progress."""
