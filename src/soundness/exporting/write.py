"""Exports on disk: the graph of a detector and what stands beside it, written once both are found to agree with it."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from soundness.aliases import CountProgress, PathLike, Progress, Waveform
from soundness.audio.reading import iter_audio
from soundness.detectors.detector import Detector
from soundness.detectors.exported import ABOUT_SUFFIX, FORMAT, GRAPH_SUFFIX, ExportedDetector, fingerprint
from soundness.detectors.reader import read_recording
from soundness.detectors.saving import load
from soundness.errors import AudioError, DataError, ExportError, MissingExtraError, OutputError
from soundness.exporting.detector_graph import detector_graph
from soundness.threads import one_thread_each

__all__ = ["TOLERANCE", "Export", "export", "export_detector", "made_sounds"]

TOLERANCE = 1e-4
"""Scores agree where they differ by no more than this, times the larger of 1 and the score."""

_MAP_TOLERANCE = 1e-3  # of single frames and bands, for maps are float32
_SECONDS = (0.5, 3.0)
_LONG_SECONDS = 41.0  # longer than what a separator hears at a time
_LARGEST_FILE = 2**31 - 1  # of a single graph


@dataclass(frozen=True, slots=True)
class Export:
    """A detector that was exported.

    Parameters
    ----------
    graph, about
        The two files.
    n_bytes
        Of both together.
    n_sounds, n_clips
        Made sounds and recordings on which the graph was compared with the detector.
    largest_difference
        Of a score, divided by the larger of 1 and the score.
    notes
        What a person should know of it.
    """

    graph: Path
    about: Path
    n_bytes: int
    n_sounds: int
    n_clips: int
    largest_difference: float
    notes: tuple[str, ...]


def export_detector(
    detector: Detector,
    folder: Path,
    *,
    check: Iterable[PathLike] = (),
    overwrite: bool = False,
    progress: CountProgress | None = None,
) -> Export:
    """Write a detector as a graph, if the graph says the same as the detector.

    Parameters
    ----------
    detector
        What is exported.
    folder
        Where ``MACHINE.onnx`` and ``MACHINE.json`` go.
    check
        Recordings, and folders of them, on which the two are compared beside sounds that are made.
    overwrite
        Replace an export that is there.
    progress
        Is told how many sounds are done, and of how many.

    Raises
    ------
    ExportError
        If a part of the detector cannot be exported, or the graph says something else.
    DataError
        If none of the recordings can be used.
    OutputError
        If there is an export already, or it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; a folder for the export is expected")
    graph, about_file = (folder / f"{detector.machine_type}{suffix}" for suffix in (GRAPH_SUFFIX, ABOUT_SUFFIX))
    there = [file for file in (graph, about_file) if file.exists()]
    if there and not overwrite:
        raise OutputError(f"{there[0]}: exists already; --overwrite replaces it")
    about = _about(detector)
    model = detector_graph(detector, about=fingerprint(about))
    exported = ExportedDetector(*_sealed(model, about))
    clips = _recordings(check)
    with one_thread_each():
        checked = _Agreement(detector, exported)
        checked.compare_all(clips, progress=progress)
    about["agreement"] = {
        "tolerance": TOLERANCE,
        "largest_difference": checked.largest,
        "n_sounds": checked.n_sounds,
        "n_clips": checked.n_clips,
    }
    content, complete = _sealed(model, about)
    text = json.dumps(complete, indent=2, sort_keys=True) + "\n"
    _write({graph: content, about_file: text.encode()})
    return Export(
        graph,
        about_file,
        len(content) + len(text),
        checked.n_sounds,
        checked.n_clips,
        checked.largest,
        tuple(checked.notes),
    )


def _about(detector: Detector) -> dict[str, Any]:
    """What the runtime and a person need to know beside the graph."""
    settings, calibration = detector.settings, detector.calibration
    plan = detector.representation.network_plan(settings)
    about = {
        "soundness_export": FORMAT,
        "machine_type": detector.machine_type,
        "sample_rate": settings.audio.sample_rate,
        "channel": settings.audio.channel,
        "fmax": settings.log_mel.fmax,
        "min_samples": settings.log_mel.n_fft,
        "hop_length": settings.log_mel.hop_length,
        "segment_frames": None if plan is None else plan.segment_frames,
        "separation": "off" if detector.separator is None else settings.separation,
        "threshold": asdict(detector.threshold),
        "calibration": None
        if calibration is None
        else {
            "origin": calibration.origin,
            "is_valid": calibration.is_valid,
            "n_clips": calibration.n_clips,
            "notes": calibration.notes,
        },
        "alarm_rule": None if detector.alarm_rule is None else asdict(detector.alarm_rule),
        "settings": settings.model_dump(mode="json"),
        "summary": detector.summary.model_dump(mode="json"),
        "versions": {package: version(package) for package in ("soundness", "onnx", "onnxruntime", "torch")},
    }
    plain: dict[str, Any] = json.loads(json.dumps(about))
    return plain


def _sealed(model: onnx.ModelProto, about: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """The graph's file and what stands beside it, each with a checksum of the other."""
    onnx.helper.set_model_props(model, {"soundness": fingerprint(about)})
    if model.ByteSize() > _LARGEST_FILE:
        raise ExportError(f"its graph takes {model.ByteSize():,} bytes; one file holds {_LARGEST_FILE:,}")
    content = model.SerializeToString()
    return content, {**about, "sha256": hashlib.sha256(content).hexdigest()}


def _recordings(paths: Iterable[PathLike]) -> list[Path]:
    found = []
    for path in map(Path, paths):
        if not path.exists():
            raise DataError(f"{path}: no such file or folder; expected recordings to check the export with")
        below = sorted(iter_audio(path)) if path.is_dir() else [path]
        if not below:
            raise DataError(f"{path}: holds no recordings to check the export with")
        found += below
    return found


def made_sounds(sample_rate: int, *, shortest: int) -> Iterator[tuple[str, Waveform]]:
    """Noise, tones and silence of several lengths, and long noise, each with what it is; shape ``(time,)``."""
    rng = np.random.default_rng(0)
    for n_samples in (shortest, *(round(seconds * sample_rate) + shortest for seconds in _SECONDS)):
        seconds = f"{n_samples / sample_rate:.2f} s of"
        noise = 0.1 * rng.standard_normal(n_samples)
        tone = np.sin(2 * np.pi * 0.03 * np.arange(n_samples))
        yield f"{seconds} noise", noise.astype(np.float32)
        yield f"{seconds} a tone in noise", (0.3 * tone + 0.01 * noise).astype(np.float32)
        yield f"{seconds} a pure tone", (0.3 * tone).astype(np.float32)
        yield f"{seconds} silence", np.zeros(n_samples, np.float32)
    noise = 0.1 * rng.standard_normal(round(_LONG_SECONDS * sample_rate))
    yield f"{_LONG_SECONDS:g} s of noise", noise.astype(np.float32)


class _Agreement:
    """Compares a graph with its detector, clip by clip."""

    def __init__(self, detector: Detector, exported: ExportedDetector) -> None:
        self.detector, self.exported = detector, exported
        self.largest = 0.0
        self.n_sounds = self.n_clips = 0
        self.notes: list[str] = []

    def compare_all(self, clips: list[Path], *, progress: CountProgress | None) -> None:
        """Compare on sounds of all kinds, and on recordings."""
        audio = self.detector.settings.audio
        sounds = list(made_sounds(audio.sample_rate, shortest=self.detector.settings.log_mel.n_fft))
        for done, (name, sound) in enumerate(sounds, start=1):
            self._compare(name, sound)
            if progress is not None:
                progress(done, len(sounds) + len(clips))
        self._compare_batch([sound for _, sound in sounds[4:7]])
        self.n_sounds = len(sounds)
        for done, clip in enumerate(clips, start=len(sounds) + 1):
            self._compare_clip(clip)
            if progress is not None:
                progress(done, len(sounds) + len(clips))
        if clips and self.n_clips == 0:
            raise DataError(f"{clips[0].parent}: none of {len(clips)} recording(s) can be used: {self.notes[0]}")

    def _compare_clip(self, clip: Path) -> None:
        try:
            waveform = self.detector.front_end.sound(read_recording(clip, self.detector.settings), "original")
        except AudioError as error:
            self.notes.append(f"not checked with {clip}: {error.reason}")
            return
        self._compare(str(clip), waveform[0])
        self.n_clips += 1

    def _compare(self, name: str, sound: Waveform) -> None:
        settings = self.detector.settings.audio
        waveform = np.tile(sound, (settings.channel + 1, 1))
        wanted, found = self.detector.score(waveform), self.exported.run(sound)
        self._compare_scores(name, wanted, float(found.scores[0]))
        if self.detector.calibration is not None and found.p_values is not None:
            self._compare_p_values(name, wanted, float(found.p_values[0]))
        error_map = self.detector.error_map(waveform)
        difference = np.abs(error_map - found.error_maps[0]) / np.maximum(1.0, np.abs(error_map))
        if difference.max() > _MAP_TOLERANCE:
            raise ExportError(f"{name}: the export's error map differs by {difference.max():.2g}; nothing is written")

    def _compare_scores(self, name: str, wanted: float, found: float) -> None:
        difference = abs(wanted - found) / max(1.0, abs(wanted))
        if not difference <= TOLERANCE:
            raise ExportError(
                f"{name}: the detector's score is {wanted:.9g}, its export's {found:.9g}; they differ by more than "
                f"{TOLERANCE:g}, so nothing is written"
            )
        self.largest = max(self.largest, difference)

    def _compare_p_values(self, name: str, score: float, found: float) -> None:
        """The p-value is that of a score within the tolerance: next to a calibration clip's it makes a difference."""
        margin = TOLERANCE * max(1.0, abs(score))
        below, above = self.detector.p_value(score + margin), self.detector.p_value(score - margin)
        assert below is not None
        assert above is not None
        if not below - 1e-12 <= found <= above + 1e-12:
            raise ExportError(f"{name}: the p-value is {above:.9g}, the export's {found:.9g}; nothing is written")

    def _compare_batch(self, sounds: list[Waveform]) -> None:
        """A clip's score does not depend on the clips beside it."""
        together = self.exported.run(np.stack(sounds)).scores
        for sound, found in zip(sounds, together, strict=True):
            self._compare_scores("a batch", float(self.exported.run(sound).scores[0]), float(found))


def _write(contents: Mapping[Path, bytes]) -> None:
    """Write files, each whole or not at all."""
    for path, content in contents.items():
        partial = path.with_name(path.name + ".partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            with suppress(OSError):  # where nothing could be written, nothing can be removed
                partial.unlink()
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def export(
    detector: PathLike,
    out: PathLike,
    *,
    check: Iterable[PathLike] = (),
    overwrite: bool = False,
    progress: Progress | None = None,
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


def _named(progress: Progress, name: str) -> CountProgress:
    return lambda done, total: progress(name, done, total)
