"""`explain`: the score of a recording, explained in a page and a picture."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.aliases import PathLike
from soundness.detectors.saving import load
from soundness.detectors.verdicts.records import RecordingScore
from soundness.errors import DataError, OutputError
from soundness.extras import check_extra
from soundness.files.atomic import write_whole
from soundness.files.run_folders import locked_file

if TYPE_CHECKING:  # loaded when it is needed
    from soundness.detectors.detector import Detector

__all__ = ["ExplanationFiles", "explain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationFiles:
    """An explanation that was written.

    Parameters
    ----------
    page, picture
        Files, HTML and PNG.
    machine_type
        Machine type of the detector.
    score
        Score, threshold and verdict.
    kinds
        Names of the kinds of changes that were found, the one that counts most first, such as periodic event; empty
        for a normal recording.
    sentences
        Reason of the verdict.
    checks
        Advice on what to check next; empty for a normal recording.
    notes
        Notes, a line each.
    """

    page: Path
    picture: Path
    machine_type: str
    score: RecordingScore
    kinds: tuple[str, ...]
    sentences: tuple[str, ...]
    checks: tuple[str, ...]
    notes: tuple[str, ...]


def explain(
    detector: PathLike, clip: PathLike, out: PathLike, *, normal: PathLike | None = None, machine: str | None = None
) -> ExplanationFiles:
    """Write ``<name of the clip>.html`` and ``.png``: the anomalous parts of a recording, in frequency and time.

    Parameters
    ----------
    detector
        A detector's file, or a run's folder.
    clip
        One recording.
    out
        Folder of page and picture; those that are there are replaced.
    normal
        Folder in or below which the normal recordings are, of which the nearest is shown and played; ``None`` looks
        beside the clip.
    machine
        Machine type of the detector, where there are several.

    Raises
    ------
    SoundnessError
        If there is no such detector, the recording cannot be used, or page or picture cannot be written.
    """
    check_extra("pages")
    clip, out = Path(clip), Path(out)
    if normal is not None and not Path(normal).is_dir():
        raise DataError(f"{normal}: no such folder; expected one with the normal recordings")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; a folder for page and picture is expected")
    page, picture = (out / f"{clip.stem}{suffix}" for suffix in (".html", ".png"))
    from soundness.reports.explained_clip import explain_recording
    from soundness.reports.explanation_page import write_explanation
    from soundness.reports.explanation_picture import draw_explanation

    with locked_file(page, kind="explanation"):
        chosen = _chosen(load(detector), Path(detector), machine)
        explained = explain_recording(chosen, clip, normal=None if normal is None else Path(normal))
        write_explanation(explained, page)
        write_whole(picture, draw_explanation(explained))
    return ExplanationFiles(
        page=page,
        picture=picture,
        machine_type=chosen.machine_type,
        score=explained.score,
        kinds=explained.kinds,
        sentences=explained.sentences,
        checks=explained.checks,
        notes=explained.notes,
    )


def _chosen(detectors: "dict[str, Detector]", path: Path, machine: str | None) -> "Detector":
    if machine is None and len(detectors) == 1:
        return next(iter(detectors.values()))
    if machine is None:
        raise DataError(f"{path}: detectors of {', '.join(detectors)}; choose one with --machine")
    if machine not in detectors:
        raise DataError(f"{path}: no detector of {machine!r}; there are {', '.join(detectors)}")
    return detectors[machine]
