"""Metadata of an exported detector: the JSON file beside its graph."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from soundness.detectors.form import RecordingForm
from soundness.errors import BundleError
from soundness.regular_files import read_regular
from soundness.scoring.decisions.alarms import AlarmRule
from soundness.scoring.decisions.calibration import Origin, Threshold
from soundness.settings.system import SystemSettings
from soundness.stored_values import Finite, MachineName, Note, Seconds, json_values, stored_value

__all__ = ["ABOUT_SUFFIX", "CHECKSUM", "FORMAT", "GRAPH_SUFFIX", "StoredExport", "fingerprint", "read_metadata"]

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
    threshold: Threshold
    calibration: _StoredCalibration | None
    lengths: _StoredLengths | None
    form: RecordingForm | None
    alarm_rule: AlarmRule | None
    sha256: str


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
