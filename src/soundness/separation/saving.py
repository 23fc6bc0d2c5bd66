"""A separator in one file."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from soundness.sealed_files import read_sealed, this_version_reads, write_sealed
from soundness.settings.system import SeparatorSettings

if TYPE_CHECKING:  # loads PyTorch
    from soundness.separation.separator import Separator

__all__ = ["load_separator", "save_separator"]


def save_separator(separator: "Separator", path: Path) -> None:
    """Write a separator to one file; a file is there whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    write_sealed(path, kind="separator", about=_about(separator), arrays=separator.arrays())


def load_separator(path: Path) -> "Separator":
    """Read a separator; what it gives is what the separator that was saved gave, to the last bit.

    Raises
    ------
    BundleError
        If the file holds no separator, was cut or altered, or is of another format.
    """
    about, arrays = read_sealed(path, kind="separator")
    with this_version_reads(path):
        return _rebuilt(about, arrays)


def _about(separator: "Separator") -> dict[str, Any]:
    return {
        "settings": separator.settings.model_dump(mode="json"),
        "summary": separator.summary.model_dump(mode="json"),
    }


def _rebuilt(about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "Separator":
    from soundness.separation.separator import Separator, SeparatorSummary

    return Separator.from_arrays(
        arrays,
        settings=SeparatorSettings.model_validate(about["settings"]),
        summary=SeparatorSummary.model_validate(about["summary"]),
    )
