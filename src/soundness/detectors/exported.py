"""Exported detectors, run with NumPy and onnxruntime alone: no PyTorch, and quick to import.

An export is a graph, ``MACHINE.onnx``, from a waveform to score, p-value and error map, with its metadata beside it in
``MACHINE.json``: sample rate and channel, threshold, alarm rule, settings. The graph carries the names and sound prints
of the normal clips along. Each file holds a checksum of the other, and an altered one is refused.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soundness.aliases import PathLike, Waveform
from soundness.audio.anomalous_regions import find_regions, reason
from soundness.audio.arrays import as_waveform
from soundness.audio.log_mel import LogMel, band_centres, without_mean
from soundness.audio.measures import measure_clip
from soundness.audio.reading import pick_channel, read_waveform
from soundness.audio.windows import ClipLength, Window, read_windows
from soundness.detectors.export_metadata import (
    ABOUT_SUFFIX,
    CHECKSUM,
    GRAPH_SUFFIX,
    ExportMetadata,
    fingerprint,
    read_metadata,
    unpacked,
)
from soundness.detectors.verdicts.judge import Judge, with_form
from soundness.detectors.verdicts.records import RecordingScore, ScoredPart, cut_notes, recording_notes, score_reason
from soundness.errors import AudioError, BundleError, SettingsError, audio_errors_at
from soundness.extras import check_extra
from soundness.files.onnx_graphs import check_graph, new_session, run_session
from soundness.regular_files import read_regular
from soundness.scoring.decisions.alarms import AlarmRule
from soundness.screening.known_recordings import KnownRecordings
from soundness.screening.normal_clips import NormalClips

if TYPE_CHECKING:  # it is rebuilt for the reason alone
    from soundness.detectors.detector import Detector

__all__ = ["Answer", "ExportedDetector", "load_exports"]

_LARGEST_GRAPH = 1 << 31  # bytes, as of any file of Protocol Buffers


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Output of a graph for several clips.

    Parameters
    ----------
    scores
        Anomaly scores, shape ``(clip,)``; higher is more anomalous.
    p_values
        P-values, shape ``(clip,)``; ``None`` if the detector was not calibrated.
    error_maps
        Deviation of each band and frame from normal, shape ``(clip, mel, frame)``.
    """

    scores: NDArray[np.float64]
    p_values: NDArray[np.float64] | None
    error_maps: NDArray[np.float32]


class ExportedDetector(ExportMetadata):
    """A detector that was exported.

    Parameters
    ----------
    graph
        Content of the graph's file.
    about
        Metadata of the file beside it.

    Raises
    ------
    BundleError
        If one was altered since it was exported.
    MissingExtraError
        If onnxruntime is not installed.
    """

    def __init__(self, graph: bytes, about: Mapping[str, Any]) -> None:
        if hashlib.sha256(graph).hexdigest() != about[CHECKSUM]:
            raise BundleError("altered since it was exported: the graph's checksum does not fit")
        super().__init__(about)
        check_extra("runtime")
        check_graph(graph)
        self._session = new_session(graph)
        self._carried: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        if self._carried.get("soundness") != fingerprint(about):
            raise BundleError("altered since it was exported: the graph belongs to other metadata")
        self._check_graph_fits()

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Read an export, by the path of its graph or of its metadata.

        Raises
        ------
        BundleError
            If a file is not there or cannot be read, is of another format, or was altered.
        MissingExtraError
            If onnxruntime is not installed.
        """
        path = Path(path)
        file = path.with_suffix(ABOUT_SUFFIX)
        about = read_metadata(file)
        graph = file.with_suffix(GRAPH_SUFFIX)
        try:
            return cls(read_regular(graph, most_bytes=_LARGEST_GRAPH), about)
        except OSError as error:
            raise BundleError(f"{graph}: cannot be read: {error.strerror}; expected an exported graph") from None
        except BundleError as error:
            raise BundleError(f"{graph}: {error}") from None

    def _check_graph_fits(self) -> None:
        """Refuse a graph whose inputs and outputs are not those of its metadata; the shortest clip shows them."""
        inputs = [(each.name, each.type, len(each.shape)) for each in self._session.get_inputs()]
        if inputs != [("waveform", "tensor(float)", 2)]:
            raise BundleError("its graph takes something else than waveforms")
        found = run_session(self._session, np.full((1, self.about["min_samples"]), 1e-3, np.float32))
        n_mels = self.settings.log_mel.n_mels
        has_p_values = self.about["calibration"] is not None
        shapes = {name: np.shape(value) for name, value in found.items()}
        if (
            set(shapes) != {"score", "error_map", *(["p_value"] if has_p_values else [])}
            or {shapes[name] for name in shapes if name != "error_map"} != {(1,)}
            or shapes["error_map"][:2] != (1, n_mels)
            or not all(value.dtype.kind == "f" and np.isfinite(value).all() for value in found.values())
        ):
            raise BundleError("its graph gives something else than scores and error maps of its metadata")
        if self.normal_clips is not None and self.normal_clips.means.shape[1] != n_mels:
            raise BundleError(f"its normal clips have {self.normal_clips.means.shape[1]} bands, its scores {n_mels}")

    def required_rule(self) -> AlarmRule:
        """Alarm rule of the detector.

        Raises
        ------
        SettingsError
            If it was exported without one.
        """
        rule = self.alarm_rule
        if rule is None:
            raise SettingsError(
                f"the detector of {self.machine_type} was exported without an alarm rule; soundness alarms makes one, "
                f"and soundness export takes it along"
            )
        return rule

    @cached_property
    def normal_clips(self) -> NormalClips | None:
        """Names and band statistics of the normal clips; ``None`` where the export does not carry them."""
        found = self.carried("normal_clips")
        return None if found is None else NormalClips.from_arrays(*found)

    @cached_property
    def _known_recordings(self) -> KnownRecordings | None:
        """Normal clips that are recognised; ``None`` where their prints are of separated sound, which a graph keeps."""
        clips = self.normal_clips if self.about["separation"] == "off" else None
        return None if clips is None else KnownRecordings(clips.prints, clips.means)

    @cached_property
    def _log_mel(self) -> LogMel:
        return LogMel(self.settings.log_mel, sample_rate=self.audio.sample_rate)

    def carried(self, name: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        """Arrays and plain values of a part that the graph carries along; ``None`` if it does not.

        Raises
        ------
        BundleError
            If it is none.
        """
        return unpacked(self._carried[name], name=name) if name in self._carried else None

    def for_processes(self) -> None:
        """``None``: onnxruntime does not hold the interpreter's lock; see `AnyDetector`."""

    def score_recording(self, path: PathLike, *, max_seconds: float | None = None) -> RecordingScore:
        """Score a recording; see `soundness.detectors.protocol.AnyDetector`."""
        path = Path(path)
        with audio_errors_at(path):
            parts = [self._scored(window) for window in self.windows(path, max_seconds=max_seconds)]
            found = self.judge.judge(parts, notes=cut_notes(path, max_seconds, self.audio))
        if self.form is None:
            return found
        measures = measure_clip(path, max_seconds=max_seconds, audio=self.audio)

        def scored(start: float, end: float) -> list[ScoredPart]:
            if self.lengths is None:  # it scores whole recordings alone
                return []
            return [self._scored(one) for one in self.windows(path, start_seconds=start, max_seconds=end)]

        difference = self.form.difference(measures, self.settings)
        return with_form(found, difference, judge=self.judge, parts=parts, scored=scored)

    def windows(self, path: Path, *, start_seconds: float = 0.0, max_seconds: float | None = None) -> Iterator[Window]:
        """Windows that a recording is scored in, which is one unless it is long.

        Raises
        ------
        AudioError
            If the recording cannot be used.
        """
        about, rate = self.about, self.about["sample_rate"]
        if self.lengths is None:
            yield Window(0, self.read(path, max_seconds=max_seconds)[None], is_whole=True)
            return
        yield from read_windows(
            path,
            sample_rate=rate,
            fmax=about["fmax"],
            clip=ClipLength(n_samples=round(self.lengths.clip_seconds * rate), is_overlapping=True),
            min_samples=about["min_samples"],
            samples=slice(round(start_seconds * rate), None if max_seconds is None else round(max_seconds * rate)),
            audio=self.audio,
        )

    def _scored(self, window: Window) -> ScoredPart:
        rate = self.about["sample_rate"]
        return ScoredPart(
            start_seconds=window.start / rate,
            seconds=window.waveform.shape[-1] / rate,
            anomaly_score=float(self.run(window.waveform).scores[0]),
            notes=self._notes(window.waveform),
            cannot_tell="" if window.waveform.any() else "digital silence",
            trained_on=self._trained_on(window.waveform) if window.waveform.any() else "",
        )

    def _trained_on(self, channel: Waveform) -> str:
        """Name of the normal clip that a channel, of shape ``(1, time)``, is a copy of; empty if of none."""
        if self._known_recordings is None or self.normal_clips is None:
            return ""
        sound = without_mean(channel) if self.audio.is_dc_removed else channel
        index = self._known_recordings.copy_of_log_mel(self._log_mel(sound[0]))
        return "" if index is None else self.normal_clips.names[index]

    @cached_property
    def judge(self) -> Judge:
        """Threshold, p-value and verdict of recordings of any length."""
        return Judge(
            threshold=self.threshold,
            false_alarm_rate=self.settings.false_alarm_rate,
            calibration=self.calibration,
            lengths=self.lengths,
        )

    def score_and_reason(self, path: PathLike) -> tuple[RecordingScore, str]:
        """Score a recording, with its reason; see `soundness.detectors.protocol.AnyDetector`."""
        score = self.score_recording(path)
        return score, score_reason(score, lambda start, end: self.reason(path, start_seconds=start, end_seconds=end))

    def reason(self, path: PathLike, *, start_seconds: float = 0.0, end_seconds: float | None = None) -> str:
        """Description of what is most anomalous; see `soundness.detectors.protocol.AnyDetector`."""
        if (detector := self._detector) is not None:
            return detector.reason(path, start_seconds=start_seconds, end_seconds=end_seconds)
        window, begin = self._window_at(Path(path), start_seconds, end_seconds)
        deviations = self.run(window.waveform).error_maps[0].astype(np.float64)
        settings = self.settings.log_mel
        regions = find_regions(
            deviations,
            None,
            deviations=deviations,
            centres=band_centres(settings),
            frame_seconds=settings.hop_length / self.about["sample_rate"],
        )
        return reason([region.later(begin) for region in regions])

    def _window_at(self, path: Path, start_seconds: float, end_seconds: float | None) -> tuple[Window, float]:
        """Window that begins at a time, or the part up to another time, and where it begins in seconds."""
        if end_seconds is not None:
            return next(self.windows(path, start_seconds=start_seconds, max_seconds=end_seconds)), start_seconds
        rate = self.about["sample_rate"]
        found = next(each for each in self.windows(path) if each.start >= round(start_seconds * rate))
        return found, found.start / rate

    @cached_property
    def _detector(self) -> "Detector | None":
        """The detector that was exported; ``None`` where the graph does not carry its parts."""
        from soundness.detectors.rebuilding import rebuilt

        return rebuilt(self)

    def read(self, path: PathLike, *, max_seconds: float | None = None) -> Waveform:
        """Read a recording for the graph, up to ``max_seconds`` of it.

        Returns
        -------
        ndarray
            The channel that is used, at the detector's sample rate, shape ``(time,)``.

        Raises
        ------
        AudioError
            If the recording cannot be used.
        """
        about, path = self.about, Path(path)
        with audio_errors_at(path):
            waveform = read_waveform(
                path,
                sample_rate=about["sample_rate"],
                fmax=about["fmax"],
                min_samples=about["min_samples"],
                max_samples=None if max_seconds is None else round(max_seconds * about["sample_rate"]),
                audio=self.audio,
            )
            channel: Waveform = pick_channel(waveform, channel=about["channel"])[0]
        return channel

    def score(self, samples: ArrayLike, *, sample_rate: int | None = None) -> float:
        """Anomaly score of samples in an array; see `soundness.detectors.detector.Detector.score`."""
        about = self.about
        waveform = as_waveform(
            samples,
            sample_rate=sample_rate,
            target_rate=about["sample_rate"],
            fmax=about["fmax"],
            min_samples=about["min_samples"],
        )
        problem = "" if sample_rate is None or self.form is None else self.form.rate_text(sample_rate, self.settings)
        if problem:
            raise AudioError(problem)
        return float(self.run(pick_channel(waveform, channel=about["channel"])).scores[0])

    def run(self, waveforms: NDArray[np.float32]) -> Answer:
        """Score clips of one length.

        Parameters
        ----------
        waveforms
            In [-1, 1] at the detector's sample rate, shape ``(clip, time)``, or ``(time,)`` for a single one.

        Raises
        ------
        AudioError
            If they are too short, or too loud for the numbers of a spectrum.
        """
        waveforms = np.ascontiguousarray(np.atleast_2d(waveforms), np.float32)
        if waveforms.ndim != 2 or waveforms.shape[1] < self.about["min_samples"]:
            raise AudioError(
                f"samples of shape {waveforms.shape}; expected (clip, time), {self.about['min_samples']:,} or more each"
            )
        found = run_session(self._session, waveforms)
        if not np.isfinite(found["error_map"]).all():
            raise AudioError("too loud: its spectrum overflows")
        return Answer(found["score"], found.get("p_value"), found["error_map"])

    def decide(self, anomaly_score: float) -> int:
        """1 if a score lies above the threshold, else 0."""
        return int(anomaly_score > self.threshold)

    def _notes(self, waveform: Waveform) -> tuple[str, ...]:
        return recording_notes(
            has_sound=bool((waveform != waveform[..., :1]).any()),
            n_samples=waveform.shape[-1],
            hop_length=self.about["hop_length"],
            segment_frames=self.about["segment_frames"],
        )


def load_exports(path: PathLike) -> dict[str, ExportedDetector]:
    """Exported detectors of one file, or of a folder, by machine type.

    Raises
    ------
    BundleError
        If there is none, or one of them cannot be used.
    MissingExtraError
        If onnxruntime is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise BundleError(f"{path}: no such file or folder; expected an exported detector ({GRAPH_SUFFIX})")
    files = sorted(path.glob(f"*{GRAPH_SUFFIX}")) if path.is_dir() else [path]
    if not files:
        raise BundleError(f"{path}: holds no exported detector; expected files that end in {GRAPH_SUFFIX}")
    exports: dict[str, ExportedDetector] = {}
    for file in files:
        export = ExportedDetector.load(file)
        if export.machine_type in exports:
            raise BundleError(f"{file}: a second detector of {export.machine_type} in this folder")
        exports[export.machine_type] = export
    return exports
