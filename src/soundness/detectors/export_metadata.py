"""Metadata of an exported detector: the JSON file beside its graph, and the arrays that the graph carries along."""

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Base64Bytes, Field

from soundness.detectors.form import RecordingForm
from soundness.detectors.verdicts.records import NOT_CALIBRATED
from soundness.errors import BundleError
from soundness.files.stored_values import Finite, MachineName, Note, NotNegativeInt, Seconds, json_values, stored_value
from soundness.regular_files import read_regular
from soundness.scoring.decisions.alarms import AlarmRule
from soundness.scoring.decisions.calibration import Calibration, Origin, Threshold
from soundness.scoring.decisions.clip_lengths import ClipLengths
from soundness.settings.system import AudioSettings, SystemSettings

__all__ = [
    "ABOUT_SUFFIX",
    "CHECKSUM",
    "FORMAT",
    "GRAPH_SUFFIX",
    "ExportMetadata",
    "StoredExport",
    "fingerprint",
    "packed",
    "read_metadata",
    "unpacked",
]

FORMAT = 3
GRAPH_SUFFIX = ".onnx"
ABOUT_SUFFIX = ".json"
CHECKSUM = "sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredCalibration:
    """Plain values of a calibration."""

    origin: Origin
    is_valid: bool
    notes: Annotated[tuple[Note, ...], Field(min_length=1)]
    scores: Annotated[dict[str, Annotated[tuple[Finite, ...], Field(min_length=1)]], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredLength(_StoredCalibration):
    """Plain values of the calibration of a length."""

    seconds: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredLengths:
    """Plain values of lengths."""

    clip_seconds: Seconds
    full_seconds: Seconds
    short: Annotated[tuple[_StoredLength, ...], Field(max_length=64)]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredExport:
    """Metadata of a graph that are used; what else there is, people read."""

    machine_type: MachineName
    sample_rate: int
    channel: int
    fmax: float
    min_samples: int
    hop_length: int
    segment_frames: Annotated[int, Field(ge=1, le=2**14)] | None
    separation: Note
    threshold: Threshold
    calibration: _StoredCalibration | None
    lengths: _StoredLengths | None
    form: RecordingForm | None
    alarm_rule: AlarmRule | None
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredArray:
    """An array as text."""

    dtype: Literal["bool", "uint8", "int16", "int64", "float32", "float64"]
    shape: Annotated[tuple[NotNegativeInt, ...], Field(max_length=4)]
    content: Base64Bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredPart:
    """Part of a detector as text."""

    about: dict[str, Any]
    arrays: dict[str, _StoredArray]


def packed(arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> str:
    """Part of a detector as a text, which a graph can carry: its arrays and plain values."""
    stored = {
        name: {
            "dtype": array.dtype.name,
            "shape": array.shape,
            "content": base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode("ascii"),
        }
        for name, array in arrays.items()
    }
    return json.dumps({"about": about, "arrays": stored})


def unpacked(text: str, *, name: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and plain values of a part; see `packed`.

    Raises
    ------
    BundleError
        If the text holds something else.
    """
    part = stored_value(_StoredPart, json_values(text), name=name)
    arrays = {}
    for key, own in part.arrays.items():
        dtype = np.dtype(own.dtype).newbyteorder("<")
        if len(own.content) != math.prod(own.shape) * dtype.itemsize:
            raise BundleError(f"{name}: array {key}: {len(own.content):,} bytes do not fill its shape")
        arrays[key] = np.frombuffer(own.content, dtype).reshape(own.shape).astype(own.dtype)
    return arrays, part.about


def fingerprint(about: Mapping[str, Any]) -> str:
    """Checksum of a graph's metadata, without the graph's own checksum in them."""
    own = {key: value for key, value in about.items() if key != CHECKSUM}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def read_metadata(file: Path) -> dict[str, Any]:
    """Read the metadata of a graph.

    Raises
    ------
    BundleError
        If they are not those of an exported detector of this format, or do not fit each other.
    """
    try:
        about = json_values(read_regular(file))
    except OSError as error:
        raise BundleError(f"{file}: cannot be read: {error.strerror}; expected the metadata of a graph") from None
    except BundleError as error:
        raise BundleError(error.reason, path=file) from None
    if not isinstance(about, dict) or "soundness_export" not in about or CHECKSUM not in about:
        raise BundleError(f"{file}: not of an exported detector")
    if about["soundness_export"] != FORMAT:
        found = f"{file}: format {about['soundness_export']}; this version of soundness reads format {FORMAT}"
        raise BundleError(f"{found}: export the detector anew")
    try:
        own = stored_value(StoredExport, about, name="metadata")
        settings = stored_value(SystemSettings, about["settings"], name="settings")
    except BundleError as error:
        raise BundleError(error.reason, path=file) from None
    audio, log_mel = settings.audio, settings.log_mel
    stated = (own.sample_rate, own.channel, own.fmax, own.min_samples, own.hop_length)
    if stated != (audio.sample_rate, audio.channel, log_mel.fmax, log_mel.n_fft, log_mel.hop_length):
        raise BundleError("its sample rate, channel or frames are not those of its settings", path=file)
    if about["settings"] != settings.model_dump(mode="json"):
        raise BundleError("its settings are not complete", path=file)
    return about


class ExportMetadata:
    """Values of an exported detector that stand beside its graph.

    Parameters
    ----------
    about
        Metadata from `read_metadata`.
    """

    def __init__(self, about: Mapping[str, Any]) -> None:
        self.about = about

    @property
    def machine_type(self) -> str:
        """Machine that the detector was trained for."""
        return str(self.about["machine_type"])

    @property
    def threshold(self) -> float:
        """Scores above it are called anomalous."""
        return float(self.about["threshold"]["value"])

    @property
    def alarm_rule(self) -> AlarmRule | None:
        """Alarm rule that the detector was exported with; ``None`` without one."""
        about = self.about["alarm_rule"]
        return None if about is None else stored_value(AlarmRule, about, name="alarm_rule")

    @property
    def shortest_seconds(self) -> float:
        """Length of the shortest recording that can be scored."""
        return float(self.about["min_samples"] / self.about["sample_rate"])

    @property
    def calibration_note(self) -> str | None:
        """Reason why p-values are missing or cannot be relied on; ``None`` if there is none."""
        calibration = self.about["calibration"]
        if calibration is None:
            return NOT_CALIBRATED
        return None if calibration["is_valid"] else str(calibration["notes"][0])

    @cached_property
    def settings(self) -> SystemSettings:
        """Settings of the whole system."""
        return SystemSettings.model_validate(self.about["settings"])

    @property
    def audio(self) -> AudioSettings:
        """Settings of recordings."""
        return self.settings.audio

    @cached_property
    def form(self) -> RecordingForm | None:
        """Form of the recordings that were learned; ``None`` where it is not known."""
        form = self.about["form"]
        return None if form is None else stored_value(RecordingForm, form, name="form")

    @cached_property
    def calibration(self) -> Calibration | None:
        """Scores of normal clips that give p-values; ``None`` without one."""
        found = self.about["calibration"]
        return None if found is None else _calibration(found)

    @cached_property
    def lengths(self) -> ClipLengths | None:
        """Lengths of the clips that were learned; ``None`` where they are not known."""
        found = self.about["lengths"]
        if found is None:
            return None
        return ClipLengths(
            clip_seconds=found["clip_seconds"],
            full_seconds=found["full_seconds"],
            short={own["seconds"]: _calibration(own) for own in found["short"]},
        )


def _calibration(about: Mapping[str, Any]) -> Calibration:
    scores = {domain: np.array(values, np.float64) for domain, values in about["scores"].items()}
    return Calibration.from_stored({"origin": about["origin"], "notes": about["notes"]}, scores)
