"""`demo`: make data, measure two systems on them, and draw pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from soundness.aliases import PathLike, Progress
from soundness.benchmarking.pictures import ClipPicture, draw_clips
from soundness.benchmarking.results import BenchmarkResult, place_of
from soundness.benchmarking.run import BenchmarkPlan, benchmark
from soundness.detectors.reader import read_recording
from soundness.detectors.saving import load
from soundness.evaluation.score_files import read_scores
from soundness.extras import check_extra
from soundness.files.run_folders import Existing, begin_run, locked_folder
from soundness.settings.loading import DEFAULT_SYSTEM, load_settings
from soundness.synthetic.make import make_data

__all__ = ["SYSTEMS", "Demonstration", "demo"]

SYSTEMS = ("conditional", DEFAULT_SYSTEM)
_PARTS = ("data", "data_truth", "benchmark", "pictures")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """Results of a demonstration.

    Parameters
    ----------
    data, benchmark
        Folders of the data set and of the benchmark, with its detectors, scores and tables.
    result
        Figures of the benchmark.
    pictures
        PNG files.
    """

    data: Path
    benchmark: Path
    result: BenchmarkResult
    pictures: list[Path]


def demo(
    out: PathLike,
    *,
    machines: Sequence[str] = ("fan", "gearbox"),
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Demonstration:
    """Make data, train and measure two systems, and draw pictures.

    Parameters
    ----------
    out
        Folder for all of it.
    machines
        Machine types of `soundness.make_data`.
    seed
        Random seed of the data and the training.
    overwrite
        Replace an earlier demonstration.
    progress
        Called with a name of what is being done, the number of items done and the total.

    Raises
    ------
    OutputError
        If ``out`` holds something already.
    SettingsError
        If there is no such machine type.
    MissingExtraError
        If the extra ``train`` is not installed.
    """
    check_extra()
    out = Path(out)
    identity = {"machine_types": list(machines), "seed": seed}
    existing: Existing = "replace" if overwrite else "refuse"
    with locked_folder(out, kind="demonstration"):
        begin_run(out, identity, kind="demonstration", file_name="demo.json", existing=existing, parts=lambda _: _PARTS)
        data, folder = out / "data", out / "benchmark"
        make_data(data, progress=progress, machines=tuple(machines), seed=seed)
        # Without separation: to train a useful separator takes longer than all the rest.
        systems = [load_settings(system, overrides=["separation=off"]) for system in SYSTEMS]
        result, files = benchmark(data, folder, BenchmarkPlan(systems=systems, seeds=[seed]), progress=progress)
        pictures = [file for file in files if file.suffix == ".png"]
        for measured in result.measured:
            pictures += _draw_clips(out, measured.system, seed)
        return Demonstration(data=data, benchmark=folder, result=result, pictures=pictures)


def _draw_clips(out: Path, system: str, seed: int) -> Iterator[Path]:
    """Draw the most and the least normal clip of each machine."""
    detectors = load(place_of(out / "benchmark", "runs", system, seed))
    for scores in read_scores(place_of(out / "benchmark", "scores", system, seed)):
        detector = detectors[scores.machine_type]
        order = scores.anomaly_scores.argsort()
        clips = []
        for name, index in (("most normal", order[0]), ("least normal", order[-1])):
            file_name, score = scores.file_names[index], scores.anomaly_scores[index]
            waveform = read_recording(out / "data" / scores.machine_type / "test" / file_name, detector.settings)
            clips.append(
                ClipPicture(
                    title=f"{name}: score {score:.2f}\n{file_name}",
                    log_mel=detector.spectrograms(waveform).reference,
                    error_map=detector.error_map(waveform),
                )
            )
        file = out / "pictures" / f"{system}_{scores.machine_type}_clips.png"
        draw_clips(clips, file, settings=detector.settings, title=f"{scores.machine_type}, {system}")
        yield file
