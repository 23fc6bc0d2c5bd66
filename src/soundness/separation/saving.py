"""A separator in one file."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from soundness.files.sealed import read_sealed, this_version_reads, write_sealed
from soundness.files.stored_values import stored_value
from soundness.settings.separation import SeparatorSettings

if TYPE_CHECKING:  # loads PyTorch
    from soundness.separation.separator import Separator

__all__ = ["describe_separator", "load_separator", "rebuild_separator", "save_separator"]


def save_separator(separator: "Separator", path: Path) -> None:
    """Write a separator to one file, whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    write_sealed(path, kind="separator", about=describe_separator(separator), arrays=separator.arrays())


def load_separator(path: Path) -> "Separator":
    """Read a separator, whose estimates equal those of the separator that was saved to the last bit.

    Raises
    ------
    BundleError
        If the file holds no separator, was cut or altered, or is of another format.
    """
    about, arrays = read_sealed(path, kind="separator")
    with this_version_reads(path):
        return rebuild_separator(about, arrays)


def describe_separator(separator: "Separator") -> dict[str, Any]:
    """Settings and summary of a separator as plain values."""
    return {
        "settings": separator.settings.model_dump(mode="json"),
        "summary": separator.summary.model_dump(mode="json"),
    }


def rebuild_separator(about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "Separator":
    """Rebuild a separator from its description and its arrays."""
    from soundness.separation.separator import Separator, SeparatorSummary

    return Separator.from_arrays(
        arrays,
        settings=SeparatorSettings.model_validate(about["settings"]),
        summary=stored_value(SeparatorSummary, about["summary"], name="summary"),
    )
