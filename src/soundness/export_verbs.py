"""What one does to run detectors where there is no PyTorch: commands of the command line, one for one."""

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.errors import MissingExtraError
from soundness.verbs import load

if TYPE_CHECKING:  # each verb loads what it needs, and no more
    from soundness.exporting.write import Export

__all__ = ["export"]

PathLike = Path | str


def export(
    detector: PathLike,
    out: PathLike,
    *,
    check: Iterable[PathLike] = (),
    overwrite: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> "list[Export]":
    """Write detectors as ONNX graphs; see `soundness.exporting.write.export_detector`.

    Parameters
    ----------
    detector
        A detector's file, or a run's folder.
    out
        Folder of the exports.
    check
        Recordings, and folders of them, on which each graph is compared with its detector, beside sounds that are made.
    overwrite
        Replace exports that are there.
    progress
        Is told the machine, how many sounds are done, and of how many.

    Raises
    ------
    ExportError
        If a part of a detector cannot be exported, or a graph does not agree with its detector.
    SoundnessError
        If the detector, a recording or the folder does not do, or the extra ``export`` is not installed.
    """
    detectors = load(detector)
    for package in ("onnx", "onnxruntime"):
        if find_spec(package) is None:
            raise MissingExtraError(f"this needs the package {package}: pip install 'soundness[export]'")
    from soundness.exporting.write import export_detector

    check = list(check)
    return [
        export_detector(
            each,
            Path(out),
            check=check,
            overwrite=overwrite,
            progress=None if progress is None else _named(progress, each.machine_type),
        )
        for each in detectors.values()
    ]


def _named(progress: Callable[[str, int, int], None], name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)
