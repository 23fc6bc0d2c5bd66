"""Export of a detector: its graph and metadata, written once the graph agrees with the detector."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from soundness.aliases import CountProgress, PathLike, Progress, Waveform
from soundness.data.finding import Selection, find_recordings
from soundness.detectors.detector import Detector
from soundness.detectors.export_metadata import ABOUT_SUFFIX, FORMAT, GRAPH_SUFFIX, fingerprint, packed
from soundness.detectors.exported import ExportedDetector
from soundness.detectors.saving import load, part_arrays
from soundness.errors import AudioError, DataError, ExportError, OutputError
from soundness.extras import check_extra
from soundness.files.atomic import write_whole
from soundness.files.run_folders import locked_file
from soundness.scoring.decisions.calibration import Calibration
from soundness.threads import one_thread_each

if TYPE_CHECKING:  # of the extra "export"
    import onnx
from soundness.plain_text import stored_text

__all__ = ["TOLERANCE", "Export", "export", "export_detector", "synthetic_sounds"]

TOLERANCE = 1e-4
"""Largest difference of scores that agree, times the larger of 1 and the score."""

_MAP_TOLERANCE = 1e-3  # of single frames and bands, for maps are float32
_SECONDS = (0.5, 3.0)
_LONG_SECONDS = 41.0  # longer than what a separator takes at a time
_LARGEST_FILE = 2**31 - 1  # of a single graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A detector that was exported.

    Parameters
    ----------
    graph, about
        The two files.
    n_bytes
        Size of both together.
    n_sounds, n_clips
        Synthetic sounds and recordings on which the graph was compared with the detector.
    largest_difference
        Largest difference of a score, divided by the larger of 1 and the score.
    notes
        Recordings that were not compared, and why.
    """

    graph: Path
    about: Path
    n_bytes: int
    n_sounds: int
    n_clips: int
    largest_difference: float
    notes: tuple[str, ...]


def export(
    detector: PathLike,
    out: PathLike,
    *,
    check: PathLike | Iterable[PathLike] = (),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Export]:
    """Write detectors as ONNX graphs; see `export_detector`.

    Parameters
    ----------
    detector
        File of a detector, or folder of a run.
    out
        Folder of the exports.
    check, overwrite
        See `export_detector`.
    progress
        Called with the machine, the number of sounds done and the total.

    Raises
    ------
    ExportError
        If a part of a detector cannot be exported, or a graph does not agree with its detector.
    SoundnessError
        If the detector, a recording or the folder cannot be used, or the extra ``export`` is not installed.
    """
    check_extra("export")
    check = Selection(check).paths
    return [
        export_detector(
            each,
            Path(out),
            check=check,
            overwrite=overwrite,
            progress=None if progress is None else partial(progress, each.machine_type),
        )
        for each in load(detector).values()
    ]


def export_detector(
    detector: Detector,
    folder: Path,
    *,
    check: PathLike | Iterable[PathLike] = (),
    overwrite: bool = False,
    progress: CountProgress | None = None,
) -> Export:
    """Write a detector as a graph, if the graph gives the same scores as the detector.

    Parameters
    ----------
    detector
        Detector to export.
    folder
        Folder of ``MACHINE.onnx`` and ``MACHINE.json``.
    check
        Recordings, and folders of them, on which the two are compared beside synthetic sounds.
    overwrite
        Replace an export that is there.
    progress
        Called with the number of sounds done and the total.

    Raises
    ------
    ExportError
        If a part of the detector cannot be exported, or the graph gives something else.
    DataError
        If none of the recordings can be used.
    OutputError
        If there is an export already, or it cannot be written.
    """
    from soundness.exporting.detector_graph import detector_graph

    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; a folder for the export is expected")
    graph, about_file = (folder / f"{detector.machine_type}{suffix}" for suffix in (GRAPH_SUFFIX, ABOUT_SUFFIX))
    with locked_file(graph, kind="export"):
        there = [file for file in (graph, about_file) if file.exists()]
        if there and not overwrite:
            raise OutputError(f"{there[0]}: exists already; --overwrite replaces it")
        about, carried = _about(detector), _carried(detector)
        model = detector_graph(detector, about=fingerprint(about))
        compared = _Comparison(detector, ExportedDetector(*_sealed(model, about, carried)))
        with one_thread_each():
            compared.run(_recordings(check), progress=progress)
        about["agreement"] = {
            "tolerance": TOLERANCE,
            "largest_difference": compared.largest_difference,
            "n_sounds": compared.n_sounds,
            "n_clips": compared.n_clips,
        }
        content, complete = _sealed(model, about, carried)
        text = json.dumps(complete, indent=2, sort_keys=True) + "\n"
        write_whole(graph, content)
        write_whole(about_file, text)
        return Export(
            graph=graph,
            about=about_file,
            n_bytes=len(content) + len(text.encode()),
            n_sounds=compared.n_sounds,
            n_clips=compared.n_clips,
            largest_difference=compared.largest_difference,
            notes=tuple(compared.notes),
        )


def _about(detector: Detector) -> dict[str, Any]:
    """Metadata beside the graph, as plain JSON."""
    settings, calibration, lengths = detector.settings, detector.calibration, detector.lengths
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
        "calibration": None if calibration is None else _calibration(calibration),
        "form": None if detector.form is None else detector.form.plain(),
        "lengths": None
        if lengths is None
        else {
            "clip_seconds": lengths.clip_seconds,
            "full_seconds": lengths.full_seconds,
            "short": [{"seconds": seconds, **_calibration(own)} for seconds, own in lengths.short.items()],
        },
        "alarm_rule": None if detector.alarm_rule is None else asdict(detector.alarm_rule),
        "settings": settings.model_dump(mode="json"),
        "summary": detector.summary.model_dump(mode="json"),
        "versions": {package: version(package) for package in ("soundness", "onnx", "onnxruntime", "torch")},
    }
    plain: dict[str, Any] = json.loads(json.dumps(stored_text(about)))
    return plain


def _calibration(calibration: Calibration) -> dict[str, Any]:
    return {
        "origin": calibration.origin,
        "is_valid": calibration.is_valid,
        "n_clips": calibration.n_clips,
        "notes": calibration.notes,
        "scores": {domain: values.tolist() for domain, values in calibration.scores.items()},
    }


def _carried(detector: Detector) -> dict[str, str]:
    """Parts that the graph carries along: the normal clips, and what else a detector without a network consists of."""
    found = {}
    if (clips := detector.normal_clips) is not None:
        found["normal_clips"] = packed(clips.arrays(), stored_text(clips.about()))
    if detector.separator is None and detector.representation.network_plan(detector.settings) is None:
        found["parts"] = packed(part_arrays(detector), {})
    return found


def _sealed(
    model: "onnx.ModelProto", about: Mapping[str, Any], carried: Mapping[str, str]
) -> tuple[bytes, dict[str, Any]]:
    """Content of the graph's file, and the metadata, each with a checksum of the other."""
    from onnx.helper import set_model_props

    set_model_props(model, {"soundness": fingerprint(about), **carried})
    if model.ByteSize() > _LARGEST_FILE:
        raise ExportError(f"its graph takes {model.ByteSize():,} bytes; one file holds {_LARGEST_FILE:,}")
    content = model.SerializeToString()
    return content, {**about, "sha256": hashlib.sha256(content).hexdigest()}


def _recordings(paths: PathLike | Iterable[PathLike]) -> list[Path]:
    found = []
    for path in Selection(paths).paths:
        if not path.exists():
            raise DataError("no such file or folder; expected recordings to check the export with", path=path)
        below = find_recordings(path).recordings if path.is_dir() else [path]
        if not below:
            raise DataError("holds no recordings to check the export with", path=path)
        found += below
    return found


def synthetic_sounds(sample_rate: int, *, shortest: int) -> Iterator[tuple[str, Waveform]]:
    """Noise, tones and silence of several lengths, and long noise, each with its name; shape ``(time,)``."""
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


class _Comparison:
    """Comparison of a graph with its detector, clip by clip."""

    def __init__(self, detector: Detector, exported: ExportedDetector) -> None:
        self.detector, self.exported = detector, exported
        self.largest_difference = 0.0
        self.n_sounds = self.n_clips = 0
        self.notes: list[str] = []

    def run(self, clips: list[Path], *, progress: CountProgress | None) -> None:
        """Compare on synthetic sounds, and on recordings."""
        settings = self.detector.settings
        sounds = list(synthetic_sounds(settings.audio.sample_rate, shortest=settings.log_mel.n_fft))
        for done, (name, sound) in enumerate(sounds, start=1):
            self._compare(name, sound)
            if progress is not None:
                progress(done, len(sounds) + len(clips))
        self._compare_batch([sound for _, sound in sounds[4:7]])
        self.n_sounds = len(sounds)
        for done, clip in enumerate(clips, start=len(sounds) + 1):
            try:
                sound = self.exported.read(clip)
            except AudioError as error:
                self.notes.append(f"not checked with {clip}: {error.reason}")
            else:
                self._compare(str(clip), sound)
                self.n_clips += 1
            if progress is not None:
                progress(done, len(sounds) + len(clips))
        if clips and self.n_clips == 0:
            reason = f"none of {len(clips)} recording(s) can be used: {self.notes[0]}"
            raise DataError(reason, path=clips[0].parent)

    def _compare(self, name: str, sound: Waveform) -> None:
        waveform = np.tile(sound, (self.detector.settings.audio.channel + 1, 1))
        expected, found = self.detector.score(waveform), self.exported.run(sound)
        self._compare_scores(name, expected, float(found.scores[0]))
        if found.p_values is not None:
            self._compare_p_values(name, expected, float(found.p_values[0]))
        error_map = self.detector.error_map(waveform)
        difference = np.abs(error_map - found.error_maps[0]) / np.maximum(1.0, np.abs(error_map))
        if difference.max() > _MAP_TOLERANCE:
            raise ExportError(f"{name}: the export's error map differs by {difference.max():.2g}; nothing is written")

    def _compare_scores(self, name: str, expected: float, found: float) -> None:
        difference = abs(expected - found) / max(1.0, abs(expected))
        if not difference <= TOLERANCE:
            raise ExportError(
                f"{name}: the detector's score is {expected:.9g}, its export's {found:.9g}; they differ by more than "
                f"{TOLERANCE:g}, so nothing is written"
            )
        self.largest_difference = max(self.largest_difference, difference)

    def _compare_p_values(self, name: str, score: float, found: float) -> None:
        """Compare with the p-values of scores within the tolerance: next to a calibration clip's they differ."""
        margin = TOLERANCE * max(1.0, abs(score))
        below, above = self.detector.p_value(score + margin), self.detector.p_value(score - margin)
        assert below is not None
        assert above is not None
        if not below - 1e-12 <= found <= above + 1e-12:
            raise ExportError(f"{name}: the p-value is {above:.9g}, the export's {found:.9g}; nothing is written")

    def _compare_batch(self, sounds: list[Waveform]) -> None:
        """Compare scores of clips in a batch with those of each alone."""
        together = self.exported.run(np.stack(sounds)).scores
        for sound, found in zip(sounds, together, strict=True):
            self._compare_scores("a batch", float(self.exported.run(sound).scores[0]), float(found))
