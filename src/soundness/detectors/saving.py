r"""One file per detector: weights, memory bank, settings, normalisation, threshold, calibration, alarm rule, summary.

The first line is ``soundness detector FORMAT N_BYTES SHA256`` or ``soundness separator ...``; after it comes a
safetensors file of ``N_BYTES`` bytes with that checksum, whose metadata hold the settings as JSON. Nothing in it is
ever executed. A user's own part is named by its import path, and imported only if its module was imported before or the
environment allows it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from soundness.aliases import PathLike
from soundness.detectors.detector import Detector
from soundness.detectors.export_metadata import ABOUT_SUFFIX, GRAPH_SUFFIX
from soundness.detectors.exported import ExportedDetector, load_exports
from soundness.detectors.form import RecordingForm
from soundness.detectors.rebuilding import check_parts_allowed, check_parts_fit, rebuilt
from soundness.detectors.training_summary import TrainingSummary
from soundness.errors import BundleError, DataError, OutputError
from soundness.extras import check_extra, missing_extra
from soundness.files.run_folders import locked_file
from soundness.files.sealed import (
    FORMATS,
    SUFFIX,
    check_format,
    read_sealed,
    this_version_reads,
    write_sealed,
)
from soundness.files.stored_values import MachineName, arrays_below, stored_value
from soundness.representations.protocol import find_representation
from soundness.scoring.decisions.alarms import AlarmRule
from soundness.scoring.decisions.calibration import Calibration, Threshold
from soundness.scoring.decisions.clip_lengths import ClipLengths
from soundness.scoring.scorers import find_scorer
from soundness.screening.normal_clips import NormalClips
from soundness.separation.saving import describe_separator, rebuild_separator
from soundness.settings.system import SystemSettings

__all__ = ["is_export", "load", "load_detector", "new_detector_file", "one_detector", "part_arrays", "save_detector"]


def save_detector(detector: Detector, path: Path) -> None:
    """Write a detector to one file; a file is there whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    arrays = part_arrays(detector)
    about = {
        "machine_type": detector.machine_type,
        "settings": detector.settings.model_dump(mode="json"),
        "threshold": asdict(detector.threshold),
        "summary": detector.summary.model_dump(mode="json"),
    }
    if detector.calibration is not None:
        arrays |= {f"calibration.{domain}": scores for domain, scores in detector.calibration.scores.items()}
        about["calibration"] = {"origin": detector.calibration.origin, "notes": detector.calibration.notes}
    if detector.lengths is not None:
        arrays |= {
            f"short.{index}.{domain}": scores
            for index, own in enumerate(detector.lengths.short.values())
            for domain, scores in own.scores.items()
        }
        about["lengths"] = _about_lengths(detector.lengths)
    if detector.form is not None:
        about["form"] = detector.form.plain()
    if detector.alarm_rule is not None:
        about["alarm_rule"] = asdict(detector.alarm_rule)
    if detector.normal_clips is not None:
        arrays |= {f"normal_clips.{name}": array for name, array in detector.normal_clips.arrays().items()}
        about["normal_clips"] = detector.normal_clips.about()
    if detector.separator is not None:
        arrays |= {f"separator.{name}": array for name, array in detector.separator.arrays().items()}
        about["separator"] = describe_separator(detector.separator) | {"format": FORMATS["separator"]}
    write_sealed(path, kind="detector", about=about, arrays=arrays)


def part_arrays(detector: Detector) -> dict[str, NDArray[Any]]:
    """Arrays of representation and scorer."""
    arrays = {f"representation.{name}": array for name, array in detector.representation.arrays().items()}
    return arrays | {f"scorer.{name}": array for name, array in detector.scorer.arrays().items()}


def load_detector(path: Path) -> Detector:
    """Read a detector; its scores are those of the detector that was saved, to the last bit.

    Raises
    ------
    BundleError
        If the file holds no detector, was cut or altered, or it or its separator is of another format.
    """
    about, arrays = read_sealed(path, kind="detector")
    with this_version_reads(path):
        separator = None
        if "separator" in about:
            check_format("separator", about["separator"].get("format"), file=f"{path}: its separator is of")
            separator = rebuild_separator(about["separator"], arrays_below("separator", arrays))
        settings = SystemSettings.model_validate(about["settings"])
        check_parts_allowed(settings)
        detector = Detector(
            machine_type=stored_value(MachineName, about["machine_type"], name="machine_type"),
            settings=settings,
            representation=find_representation(settings.representation).from_arrays(
                arrays_below("representation", arrays), settings
            ),
            scorer=find_scorer(settings.scorer.name).from_arrays(arrays_below("scorer", arrays), settings.scorer),
            threshold=stored_value(Threshold, about["threshold"], name="threshold"),
            summary=stored_value(TrainingSummary, about["summary"], name="summary"),
            separator=separator,
            calibration=(
                Calibration.from_stored(about["calibration"], arrays_below("calibration", arrays))
                if "calibration" in about  # else written before there was any
                else None
            ),
            lengths=(
                ClipLengths.from_stored(about["lengths"], arrays_below("short", arrays))
                if about.get("lengths") is not None
                else None
            ),
            form=stored_value(RecordingForm, about["form"], name="form") if "form" in about else None,
            alarm_rule=stored_value(AlarmRule, about["alarm_rule"], name="alarm_rule")
            if "alarm_rule" in about
            else None,
            normal_clips=(
                NormalClips.from_arrays(arrays_below("normal_clips", arrays), about["normal_clips"])
                if "normal_clips" in about
                else None
            ),
        )
        check_parts_fit(detector)
    return detector


def _about_lengths(lengths: ClipLengths) -> dict[str, Any]:
    return {
        "clip_seconds": lengths.clip_seconds,
        "full_seconds": lengths.full_seconds,
        "short": [
            {"seconds": seconds, "origin": own.origin, "notes": own.notes} for seconds, own in lengths.short.items()
        ],
    }


def _load_exports(path: Path) -> dict[str, Detector]:
    with this_version_reads(path):
        return {machine: _rebuilt(exported) for machine, exported in load_exports(path).items()}


def _rebuilt(exported: ExportedDetector) -> Detector:
    detector = rebuilt(exported)
    if detector is not None:
        return detector
    if exported.about["segment_frames"] is None and exported.about["separation"] == "off":
        raise BundleError('its graph carries no "parts", for an earlier version exported it: export the detector anew')
    raise BundleError(
        f"is the export of a detector with a network or a separator, of which it holds the graph alone: score and "
        f"watch take it; this needs the detector's own file ({SUFFIX}) and PyTorch"
    )


def is_export(path: Path) -> bool:
    """True for an export's file, and for a folder that holds exports and no trained detectors."""
    if path.is_dir():
        return any(path.glob(f"*{GRAPH_SUFFIX}")) and not any(path.glob(f"*{SUFFIX}"))
    return path.suffix.lower() in (GRAPH_SUFFIX, ABOUT_SUFFIX)


def load(detector: PathLike) -> dict[str, Detector]:
    """Read the detectors of one file, of a run folder, or of exports without a network, by machine type.

    Raises
    ------
    BundleError
        If there is no detector there, or one of them cannot be read.
    MissingExtraError
        If packages that they need are not installed: safetensors, and PyTorch for one with a network or separator.
    """
    check_extra("detectors")
    path = Path(detector)
    if not path.exists():
        raise BundleError(f"{path}: no such file or folder; expected a detector ({SUFFIX}) or a run folder")
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if is_export(path):
        return _load_exports(path)
    if not files:
        raise BundleError(f"{path}: holds no detector; expected files that end in {SUFFIX}")
    detectors: dict[str, Detector] = {}
    for file in files:
        try:
            found = load_detector(file)
        except ModuleNotFoundError as error:
            raise missing_extra(error) from error
        if found.machine_type in detectors:
            raise BundleError(f"{file}: a second detector of {found.machine_type} in this folder")
        detectors[found.machine_type] = found
    return detectors


def one_detector(detector: PathLike | Detector) -> Detector:
    """Read the detector of a file, or of the folder of a run with one machine, unless it is in memory."""
    if isinstance(detector, Detector):
        return detector
    detectors = load(detector)
    if len(detectors) > 1:
        raise DataError(f"{detector}: detectors of {', '.join(detectors)}; give the file of one of them")
    return next(iter(detectors.values()))


@contextmanager
def new_detector_file(out: PathLike | None, *, overwrite: bool) -> Iterator[Callable[[Detector], None]]:
    """Context of a detector that is to be written, unless something is there; it gives the function that writes it.

    Raises
    ------
    OutputError
        If the file exists and is not to be replaced, or another process writes it.
    """
    if out is None:
        yield lambda _: None
        return
    path = Path(out)
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; the file of a detector is expected")
    if path.suffix.lower() in (GRAPH_SUFFIX, ABOUT_SUFFIX):
        raise OutputError(
            f"{path}: the file of a detector ({SUFFIX}) is expected, of which soundness export makes an export"
        )
    with locked_file(path, kind="writing of a detector"):
        if path.exists() and not overwrite:
            raise OutputError(f"{path}: exists already; --overwrite replaces it")
        yield partial(save_detector, path=path)
