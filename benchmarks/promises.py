"""Shared by the benchmark scripts: rows of promised and measured, kept between runs, printed, and put into a page."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

__all__ = ["Row", "measure", "measure_rows", "put_rows", "put_section", "show"]


@dataclass(frozen=True)
class Row:
    """One line of the table; without a promise it is kept."""

    what: str
    promised: str
    measured: str
    is_kept: bool


def measure(
    sections: Mapping[str, Callable[[Path], Iterator[Row]]],
    *,
    description: str,
    page: Path,
    work: Path,
    pages: Mapping[str, Path] | None = None,
) -> int:
    """Measure the sections that the command line asks for; what was finished before is not measured again.

    Parameters
    ----------
    sections
        By name: each takes a folder to work in and yields its rows.
    description
        Of the script, for its help.
    page
        Markdown, with ``<!-- section -->`` and ``<!-- end of section -->`` around each table.
    work
        Folder, unless the command line names another.
    pages
        Of the sections whose tables stand elsewhere.

    Returns
    -------
    int
        Exit status: 1 if a promise is not kept.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--only", default=",".join(sections), help=f"of {', '.join(sections)}")
    parser.add_argument("--work", type=Path, default=work)
    parser.add_argument("--again", action="store_true", help="also measure what was measured before")
    arguments = parser.parse_args()
    if "SOUNDNESS_DATA" not in os.environ:
        parser.error("SOUNDNESS_DATA is not set: it names the folder of the real recordings")
    folder = arguments.work.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    rows = _kept(folder / "rows.json")
    console = Console(width=None if sys.stdout.isatty() else 160)
    chosen = arguments.only.split(",")
    for name in chosen:
        if arguments.again or name not in rows:
            rows[name] = []
            for row in sections[name](folder):
                rows[name].append(row)
                console.print(f"{row.what}: {row.measured}", highlight=False, markup=False)
            _keep(folder / "rows.json", rows)
    for name, found in rows.items():
        put_rows(page if pages is None else pages.get(name, page), name, found)
    return show([row for name in chosen for row in rows[name]], console)


def measure_rows(rows: Callable[[Path], Iterator[Row]], *, description: str | None) -> int:
    """Measure the rows of a script that keeps nothing, in ``--work`` or a temporary folder; 1 if a promise is not kept.

    Parameters
    ----------
    rows
        Takes a folder to work in and yields its rows, which are printed as they come.
    description
        Of the script, for its help.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", type=Path)
    arguments = parser.parse_args()
    console, found = Console(width=None if sys.stdout.isatty() else 160), []
    with tempfile.TemporaryDirectory() as temporary:
        for row in rows(arguments.work or Path(temporary)):
            found.append(row)
            console.print(f"{row.what}: {row.measured}", highlight=False, markup=False)
    return show(found, console)


def show(rows: Sequence[Row], console: Console) -> int:
    """Print the table; 1 if a promise is not kept, else 0."""
    table = Table("what", "promised", "measured", "")
    for row in rows:
        table.add_row(*map(escape, (row.what, row.promised, row.measured)), "pass" if row.is_kept else "FAIL")
    console.print(table)
    return 0 if all(row.is_kept for row in rows) else 1


def _kept(file: Path) -> dict[str, list[Row]]:
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return {name: [Row(**row) for row in found] for name, found in known.items()}


def _keep(file: Path, rows: Mapping[str, list[Row]]) -> None:
    # A comparison of NumPy's numbers is no bool of Python's.
    plain = {name: [asdict(row) | {"is_kept": bool(row.is_kept)} for row in found] for name, found in rows.items()}
    file.write_text(json.dumps(plain, indent=2), encoding="utf-8")


def put_section(page: Path, section: str, lines: Sequence[str]) -> None:
    """Put lines between ``<!-- section -->`` and ``<!-- end of section -->`` of a page."""
    text = page.read_text(encoding="utf-8")
    start, end = f"<!-- {section} -->\n", f"<!-- end of {section} -->\n"
    if start not in text or end not in text:
        raise ValueError(f"{page}: no place for {section}: expected {start.strip()} and {end.strip()}")
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{start}" + "\n".join(lines) + f"\n{end}{after}", encoding="utf-8")


def put_rows(page: Path, section: str, rows: Sequence[Row]) -> None:
    """Put a table of promised and measured between the markers of a section."""
    lines = ["| | promised | measured |", "|---|---|---|"]
    for row in rows:
        lines.append(f"| {row.what} | {row.promised} | {row.measured}{'' if row.is_kept else ': **not reached**'} |")
    put_section(page, section, lines)
