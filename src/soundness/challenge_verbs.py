"""What one does with soundness for the challenge, as functions: commands of the command line, one for one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # each verb loads what it needs, and no more
    from soundness.downloads import DownloadReport
    from soundness.fetching import Patience

__all__ = ["download"]


def download(
    year: int,
    out: Path | str,
    *,
    machines: Sequence[str] = (),
    part: Literal["dev", "eval", "all"] = "all",
    keep_archives: bool = False,
    base_url: str | None = None,
    patience: "Patience | None" = None,
    progress: Callable[[str, int, int], None] | None = None,
    announce: Callable[[str], None] | None = None,
) -> "DownloadReport":
    """Fetch the public data of DCASE Task 2 of a year, and unpack them for `open_dataset`.

    What is there already and complete is not fetched again; what was interrupted goes on where it ended.

    Parameters
    ----------
    year
        Of the challenge, 2023 or later.
    out
        Folder of the data set, of this year alone: ``<out>/{dev_data,eval_data}/raw/<machine>``, and what is known of
        the archives in ``<out>/archives``.
    machines
        Machine types; all where none is named.
    part
        ``dev`` (with labels), ``eval`` or ``all``.
    keep_archives
        Keep the zip files in ``<out>/archives``.
    base_url
        A server that answers as Zenodo does; Zenodo itself where none is named.
    patience
        How often something is tried, and how long is waited between.
    progress
        Is told the archive, how many of its bytes or files are done, and of how many.
    announce
        Is told in one line what is tried again, and why.

    Raises
    ------
    DownloadError
        If there is no such year, part or machine; if something does not come, comes otherwise than its record says, or
        is no archive that is safe to unpack.
    OutputError
        If ``out`` cannot be written, is too small, or holds other data in these places.
    """
    from soundness.downloads import ZENODO
    from soundness.downloads import download as fetch_and_unpack

    return fetch_and_unpack(
        year,
        Path(out),
        machines=machines,
        part=part,
        keep_archives=keep_archives,
        base_url=ZENODO if base_url is None else base_url,
        patience=patience,
        progress=progress,
        announce=announce,
    )
