"""The main job from beginning to end, on data that it makes itself."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from soundness import verbs
from soundness.aliases import CountProgress, PathLike, Progress
from soundness.detectors.bulk_scoring import score
from soundness.detectors.saving import load
from soundness.errors import OutputError
from soundness.evaluation.results import Evaluation, evaluate
from soundness.evaluation.score_files import read_scores
from soundness.extras import check_extra
from soundness.settings.loading import DEFAULT_SYSTEM
from soundness.synthetic.make import make_data

if TYPE_CHECKING:
    from soundness.benchmarking.pictures import ClipPicture
    from soundness.detectors.detector import Detector

__all__ = ["Demonstration", "demo"]

SYSTEMS = ("conditional", DEFAULT_SYSTEM)
_RESULT_FILE = "demo.json"
_PARTS = ("data", "data_truth", "runs", "scores", "pictures")


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What a demonstration made.

    Parameters
    ----------
    data, runs, scores
        Folders; detectors and scores are below the name of their system.
    evaluations
        By system.
    table
        The report's Table 1 for these systems, in per cent; the first row is the heading.
    pictures
        PNG files.
    """

    data: Path
    runs: Path
    scores: Path
    evaluations: dict[str, Evaluation]
    table: list[tuple[str, ...]]
    pictures: list[Path]


def demo(
    out: PathLike,
    *,
    machines: Sequence[str] = ("fan", "gearbox"),
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Demonstration:
    """Make data, train two systems, score, evaluate and draw.

    Parameters
    ----------
    out
        Folder for all of it.
    machines
        Machine types of the factory.
    seed
        Of the data and the training.
    overwrite
        Replace an earlier demonstration.
    progress
        Is told what is going on, how much of it is done, and of how much.

    Raises
    ------
    OutputError
        If ``out`` holds something already.
    SettingsError
        If there is no such machine type.
    MissingExtraError
        If the extra ``train`` is not installed.
    """
    out = Path(out)
    check_extra()
    _prepare(out, overwrite=overwrite)
    data, runs, scores = out / "data", out / "runs", out / "scores"
    make_data(data, progress=progress, machines=tuple(machines), seed=seed)
    for system in SYSTEMS:
        # Without separation: a separator that is worth its name takes longer to train than all the rest.
        verbs.train(data, runs / system, system=system, overrides=["separation=off"], seed=seed, progress=progress)
        score(runs / system, [data], scores / system, progress=_named(progress, f"scoring with {system}"))
    evaluations = {system: evaluate(scores / system) for system in SYSTEMS}
    pictures = [picture for system in SYSTEMS for picture in _draw(out, system)]
    result = Demonstration(data, runs, scores, evaluations, _table(evaluations), pictures)
    figures = {system: evaluation.model_dump() for system, evaluation in evaluations.items()}
    (out / _RESULT_FILE).write_text(json.dumps({"seed": seed, **figures}, indent=2) + "\n", encoding="utf-8")
    return result


def _prepare(out: Path, *, overwrite: bool) -> None:
    """Make the folder ready; remove an earlier demonstration, and nothing that is not part of one."""
    marker = out / _RESULT_FILE
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            if not overwrite:
                raise OutputError(f"{out}: exists already; --overwrite replaces a demonstration")
            if not marker.exists():
                raise OutputError(f"{out}: is not the folder of a demonstration (no {_RESULT_FILE}); not overwritten")
            for part in (out / name for name in _PARTS):
                if part.exists():
                    shutil.rmtree(part)
        out.mkdir(parents=True, exist_ok=True)
        marker.write_text("{}\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror}") from None


def _named(progress: Progress | None, what: str) -> CountProgress | None:
    return None if progress is None else lambda done, total: progress(what, done, total)


def _table(evaluations: Mapping[str, Evaluation]) -> list[tuple[str, ...]]:
    """Machines and their three figures down, systems across, as in Table 1 of the report."""
    rows: list[tuple[str, ...]] = [("machine", "figure", *evaluations)]
    first = next(iter(evaluations.values()))
    names = {"auc_source": "AUC (source)", "auc_target": "AUC (target)", "pauc": "pAUC"}
    for index, machine in enumerate(first.machines):
        for key, name in names.items():
            values = [getattr(evaluation.machines[index].figures, key) for evaluation in evaluations.values()]
            rows.append((machine.machine_type, name, *map(_per_cent, values)))
    for key, name in names.items():
        means = [getattr(evaluation.harmonic_means, key) for evaluation in evaluations.values()]
        rows.append(("All", name, *map(_per_cent, means)))
    return [*rows, ("All", "official score", *(_per_cent(one.official_score) for one in evaluations.values()))]


def _per_cent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _draw(out: Path, system: str) -> list[Path]:
    """Score histograms of one system, and its most and least normal clip of each machine."""
    from soundness.benchmarking.pictures import draw_clips, draw_score_histograms
    from soundness.data.clips import parse_name

    folder = out / "pictures"
    folder.mkdir(exist_ok=True)
    detectors = load(out / "runs" / system)
    scored = read_scores(out / "scores" / system)
    histograms: dict[str, dict[tuple[str, str], list[float]]] = {}
    pictures = []
    for machine in scored:
        panels = histograms.setdefault(machine.machine_type, {})
        for name, value in zip(machine.file_names, machine.anomaly_scores, strict=True):
            parts = parse_name(Path(name).stem)
            if parts is not None and parts.label is not None:
                panels.setdefault((parts.domain or "", parts.label), []).append(float(value))
        detector = detectors[machine.machine_type]
        order = machine.anomaly_scores.argsort()
        clips = [
            _heard(
                detector,
                out / "data" / machine.machine_type / "test" / machine.file_names[index],
                what,
                machine.anomaly_scores[index],
            )
            for what, index in (("most normal", order[0]), ("least normal", order[-1]))
        ]
        pictures.append(folder / f"{system}_{machine.machine_type}_clips.png")
        draw_clips(clips, pictures[-1], settings=detector.settings, title=f"{machine.machine_type}, {system}")
    thresholds = {name: detector.threshold.value for name, detector in detectors.items()}
    pictures.append(folder / f"{system}_scores.png")
    draw_score_histograms(histograms, pictures[-1], thresholds=thresholds, title=f"anomaly scores, {system}")
    return pictures


def _heard(detector: "Detector", path: Path, what: str, value: float) -> "ClipPicture":
    from soundness.benchmarking.pictures import ClipPicture
    from soundness.detectors.reader import read_recording

    waveform = read_recording(path, detector.settings)
    title = f"{what}: score {value:.2f}\n{path.name}"
    return ClipPicture(title, detector.spectrograms(waveform).reference, detector.error_map(waveform))
