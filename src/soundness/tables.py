"""Tables of text: rows of cells, the first of which is the heading."""

from collections.abc import Iterable, Sequence

__all__ = ["column_widths", "notes_by_machine", "split_constant"]

Rows = list[tuple[str, ...]]


def split_constant(rows: Sequence[Sequence[str]], *, n_kept: int = 1) -> tuple[Rows, tuple[tuple[str, str], ...]]:
    """Take out the columns that say the same in every row, and those that are empty.

    Parameters
    ----------
    rows
        Heading and rows; columns of a table of one row are taken out only where they are empty.
    n_kept
        Number of columns at the left that stay.

    Returns
    -------
    tuple
        The table that is left, and the headings of the columns that were taken out with what they say, the empty ones
        apart.
    """
    columns = list(zip(*rows, strict=True))
    same = [len(set(column[1:])) == 1 and (len(rows) > 2 or not column[1]) for column in columns]
    kept = [column for number, column in enumerate(columns) if number < n_kept or not same[number]]
    found = [(column[0], column[1]) for number, column in enumerate(columns) if number >= n_kept and same[number]]
    return list(zip(*kept, strict=True)), tuple((name, value) for name, value in found if value)


def column_widths(rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Widths of columns that break cells between words alone; ``None`` where there are none that fit.

    Parameters
    ----------
    rows
        Heading and rows.
    width
        Characters that the columns may have together.
    """
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    least = [max((len(word) for cell in column for word in cell.split()), default=0) for column in columns]
    if sum(least) > width:
        return None
    while sum(widths) > width:
        widest = max((index for index in range(len(widths)) if widths[index] > least[index]), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def notes_by_machine(notes: Iterable[tuple[str, str]], n_machines: int) -> list[str]:
    """Lines of notes, each once, with the machines that it is about.

    Parameters
    ----------
    notes
        Machine and note, in any order.
    n_machines
        Number of machines; a note on all of several begins with: all 7 machines.
    """
    machines: dict[str, dict[str, None]] = {}
    for machine, note in notes:
        machines.setdefault(note, {})[machine] = None
    return [
        f"{f'all {n_machines} machines' if len(names) == n_machines > 1 else ', '.join(names)}: {note}"
        for note, names in machines.items()
    ]
