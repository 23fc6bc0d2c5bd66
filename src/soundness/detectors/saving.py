r"""One file per detector: weights, memory bank, settings, normalisation, threshold, calibration, alarm rule, summary.

The first line says what the file is, ``soundness detector FORMAT N_BYTES SHA256`` or ``soundness separator ...``; what
follows it is a safetensors file of ``N_BYTES`` bytes with that checksum, whose metadata hold the settings as JSON.
Nothing in it is ever executed. A part of a user's own is named by its import path, and imported only where its module
was imported before, or is allowed by the environment.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from soundness.detectors.detector import Detector, TrainingSummary, find_representation
from soundness.detectors.normal_clips import NormalClips
from soundness.errors import BundleError, OutputError, SettingsError
from soundness.monitoring.alarm_rules import AlarmRule
from soundness.plugins import check_allowed
from soundness.scoring.calibration import Calibration
from soundness.scoring.scorers import Threshold, find_scorer
from soundness.settings.system import SeparatorSettings, SystemSettings

if TYPE_CHECKING:  # loads PyTorch
    from soundness.separation.separator import Separator

__all__ = [
    "FORMATS",
    "SUFFIX",
    "check_kind",
    "load_detector",
    "load_detectors",
    "load_separator",
    "save_detector",
    "save_separator",
]

FORMATS = {"detector": 7, "separator": 3}
SUFFIX = ".soundness"
_LONGEST_FIRST_LINE = 256


def save_detector(detector: Detector, path: Path) -> None:
    """Write a detector to one file; a file is there whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    arrays = {f"representation.{name}": array for name, array in detector.representation.arrays().items()}
    arrays |= {f"scorer.{name}": array for name, array in detector.scorer.arrays().items()}
    about = {
        "machine_type": detector.machine_type,
        "settings": detector.settings.model_dump(mode="json"),
        "threshold": asdict(detector.threshold),
        "summary": detector.summary.model_dump(mode="json"),
    }
    if detector.calibration is not None:
        arrays |= {f"calibration.{domain}": scores for domain, scores in detector.calibration.scores.items()}
        about["calibration"] = {"origin": detector.calibration.origin, "notes": detector.calibration.notes}
    if detector.alarm_rule is not None:
        about["alarm_rule"] = asdict(detector.alarm_rule)
    if detector.normal_clips is not None:
        arrays |= {f"normal_clips.{name}": array for name, array in detector.normal_clips.arrays().items()}
        about["normal_clips"] = detector.normal_clips.about()
    if detector.separator is not None:
        arrays |= {f"separator.{name}": array for name, array in detector.separator.arrays().items()}
        about["separator"] = _about(detector.separator) | {"format": FORMATS["separator"]}
    _write(path, kind="detector", about=about, arrays=arrays)


def load_detector(path: Path) -> Detector:
    """Read a detector; its scores are those of the detector that was saved, to the last bit.

    Raises
    ------
    BundleError
        If the file holds no detector, was cut or altered, or it or its separator is of another format.
    """
    about, arrays = _read(path, kind="detector")
    with _fitting(path):
        separator = None
        if "separator" in about:
            _check_format("separator", about["separator"]["format"], file=f"{path}: its separator is of")
            separator = _rebuilt(about["separator"], _below("separator", arrays))
        settings = SystemSettings.model_validate(about["settings"])
        _check_parts_allowed(path, settings)
        threshold = about["threshold"]
        return Detector(
            about["machine_type"],
            settings=settings,
            representation=find_representation(settings.representation).from_arrays(
                _below("representation", arrays), settings
            ),
            scorer=find_scorer(settings.scorer.name).from_arrays(_below("scorer", arrays), settings.scorer),
            threshold=Threshold(threshold["value"], threshold["domains"], tuple(threshold["notes"])),
            summary=TrainingSummary.model_validate(about["summary"]),
            separator=separator,
            calibration=_calibration(about, arrays),
            alarm_rule=AlarmRule(**about["alarm_rule"]) if "alarm_rule" in about else None,
            normal_clips=(
                NormalClips.from_arrays(_below("normal_clips", arrays), about["normal_clips"])
                if "normal_clips" in about
                else None
            ),
        )


def _calibration(about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Calibration | None:
    if "calibration" not in about:  # written before there was any
        return None
    scores, own = _below("calibration", arrays), about["calibration"]
    return Calibration({domain: scores[domain] for domain in sorted(scores)}, own["origin"], tuple(own["notes"]))


def _check_parts_allowed(path: Path, settings: SystemSettings) -> None:
    network = [] if settings.autoencoder is None else [settings.autoencoder.name]
    try:
        check_allowed([settings.representation, settings.scorer.name, *network])
    except SettingsError as error:
        raise BundleError(f"{path}: {error}") from None


def save_separator(separator: "Separator", path: Path) -> None:
    """Write a separator to one file; a file is there whole or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    _write(path, kind="separator", about=_about(separator), arrays=separator.arrays())


def load_separator(path: Path) -> "Separator":
    """Read a separator; what it gives is what the separator that was saved gave, to the last bit.

    Raises
    ------
    BundleError
        If the file holds no separator, was cut or altered, or is of another format.
    """
    about, arrays = _read(path, kind="separator")
    with _fitting(path):
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


@contextmanager
def _fitting(path: Path) -> Iterator[None]:
    """What an intact file holds, and this version cannot make sense of, is one line that says so."""
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise BundleError(f"{path}: its settings do not fit this version of soundness: {first['msg']}") from None
    except (SettingsError, RuntimeError, TypeError) as error:
        line = str(error).splitlines()[0]
        raise BundleError(f"{path}: does not fit this version of soundness: {line}") from None
    except KeyError as error:
        raise BundleError(f"{path}: needs a part that this version of soundness lacks: {error}") from None


def load_detectors(path: Path) -> dict[str, Detector]:
    """Detectors of one file or of a run folder, by machine type.

    Raises
    ------
    BundleError
        If there is no detector there, or one of them cannot be read.
    """
    if not path.exists():
        raise BundleError(f"{path}: no such file or folder; expected a detector ({SUFFIX}) or a run folder")
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not files:
        raise BundleError(f"{path}: holds no detector; expected files that end in {SUFFIX}")
    detectors: dict[str, Detector] = {}
    for file in files:
        detector = load_detector(file)
        if detector.machine_type in detectors:
            raise BundleError(f"{file}: a second detector of {detector.machine_type} in this folder")
        detectors[detector.machine_type] = detector
    return detectors


def _write(path: Path, *, kind: str, about: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    payload = save_arrays(contiguous, metadata={"soundness": json.dumps(about)})
    first_line = f"soundness {kind} {FORMATS[kind]} {len(payload)} {hashlib.sha256(payload).hexdigest()}\n"
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(first_line.encode("ascii") + payload)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def check_kind(path: Path, kind: str) -> None:
    """Refuse a file that is not of a kind. Its format, and whether it is whole, do not matter: it is to be replaced.

    Raises
    ------
    BundleError
        If it cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as file:
            _sealed_as(path, file.read(_LONGEST_FIRST_LINE).partition(b"\n")[0], kind=kind)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}; expected a {kind}") from None


def _read(path: Path, *, kind: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}; expected a {kind}") from None
    first_line, _, payload = content.partition(b"\n")
    number, n_bytes, digest = _sealed_as(path, first_line, kind=kind)
    _check_format(kind, number, file=f"{path}:")
    if len(payload) != n_bytes:
        raise BundleError(f"{path}: cut short: {len(payload):,} bytes of {n_bytes:,} are there")
    if hashlib.sha256(payload).hexdigest() != digest:
        raise BundleError(f"{path}: altered since it was written: its checksum does not fit")
    return _unpacked(path, payload)


def _sealed_as(path: Path, first_line: bytes, *, kind: str) -> tuple[int, int, str]:
    """Format, number of bytes and checksum, as the first line of a file of a kind says."""
    words = first_line[:_LONGEST_FIRST_LINE].decode("ascii", errors="replace").split(" ")
    if len(words) != 5 or words[0] != "soundness" or not words[2].isdecimal() or not words[3].isdecimal():
        raise BundleError(f"{path}: not a {kind} of soundness")
    if words[1] != kind:
        raise BundleError(f"{path}: holds a {words[1]}; expected a {kind}")
    return int(words[2]), int(words[3]), words[4]


def _check_format(kind: str, found: int, *, file: str) -> None:
    if found != FORMATS[kind]:
        remedy = "train it anew" if found < FORMATS[kind] else "a newer one reads it"
        raise BundleError(f"{file} format {found}; this version of soundness reads format {FORMATS[kind]}: {remedy}")


def _unpacked(path: Path, payload: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    try:
        arrays = load_arrays(payload)
        header = json.loads(payload[8 : 8 + int.from_bytes(payload[:8], "little")])
        return json.loads(header["__metadata__"]["soundness"]), arrays
    except (SafetensorError, ValueError, KeyError) as error:
        raise BundleError(f"{path}: not a readable safetensors file: {error}") from None


def _below(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    start = f"{prefix}."
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
