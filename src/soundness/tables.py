"""Tables of text: rows of cells, the first of which is the heading."""

from collections.abc import Sequence

__all__ = ["split_constant"]

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
