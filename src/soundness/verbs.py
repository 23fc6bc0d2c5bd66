"""What one does with soundness, as functions: the commands of the command line, one for one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from soundness.errors import MissingExtraError, SettingsError
from soundness.settings.loading import DEFAULT_SYSTEM

if TYPE_CHECKING:  # each verb loads what it needs, and no more
    from soundness.data.inspection import Inspection
    from soundness.detectors.bulk_scoring import AnyDetector, ScoringReport
    from soundness.detectors.detector import Detector
    from soundness.evaluation.results import Evaluation
    from soundness.separation.recordings import SeparationReport
    from soundness.separation.separator import Separator
    from soundness.synthetic import FactoryResult

__all__ = [
    "check_extra",
    "evaluate",
    "inspect",
    "load",
    "make_data",
    "score",
    "separate",
    "train",
    "train_separator",
]

_TRAIN_PACKAGES = ("torch", "safetensors", "pytorch_lightning", "matplotlib", "yaml", "jinja2")

PathLike = Path | str


def inspect(data: PathLike, *, progress: Callable[[int, int], None] | None = None) -> "Inspection":
    """Listen to every recording of a data set and report what it holds and what is wrong with it.

    Parameters
    ----------
    data
        A data set of any layout, or a folder of recordings.
    progress
        Is told how many recordings are done, and of how many.

    Raises
    ------
    DataError
        If there is no data set there.
    """
    from soundness.data.datasets import open_dataset
    from soundness.data.inspection import inspect_dataset

    return inspect_dataset(open_dataset(data), progress=progress)


def make_data(
    out: PathLike,
    *,
    overwrite: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    **settings: object,
) -> "FactoryResult":
    """Make a data set of synthetic machine sounds in the layout of DCASE 2025.

    Parameters
    ----------
    out
        Folder of the data set; the truth about it goes to its sibling ``<out>_truth``.
    overwrite
        Replace a data set in ``out``.
    progress
        Is told the machine, how many of its clips are done, and of how many.
    **settings
        Fields of `soundness.synthetic.FactorySettings`.

    Raises
    ------
    SettingsError
        If a setting is unknown or out of range.
    OutputError
        If ``out`` holds something already, or cannot be written.
    """
    from soundness.settings.loading import validated
    from soundness.synthetic import FactorySettings, make_data

    return make_data(Path(out), settings=validated(FactorySettings, settings), overwrite=overwrite, progress=progress)


def train(
    data: PathLike,
    out: PathLike,
    *,
    system: str = DEFAULT_SYSTEM,
    overrides: Iterable[str] = (),
    separator: PathLike | None = None,
    machines: Sequence[str] = (),
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    announce: Callable[[str], None] | None = None,
) -> "list[Detector]":
    """Train a detector for each machine of a data set; see `soundness.training.run.train`.

    Parameters
    ----------
    data
        A data set of any layout, or a folder of normal recordings.
    out
        The run's folder.
    system
        A name of `soundness.system_names`, or a settings file.
    overrides
        ``key=value`` each, as with ``--set``.
    separator
        A separator's file; without one, a system that needs it trains its own on the data set.
    machines
        Machine types to train; all of them where none is named.
    seed
        Of everything random.
    resume
        Go on with a training that was interrupted.
    overwrite
        Replace an earlier run.
    progress
        Is told what is going on, how much of it is done, and of how much.
    announce
        Is told, before a long training, how long it is expected to take.

    Raises
    ------
    SoundnessError
        If the settings, the data or the folder do not do, or the extra ``train`` is not installed.
    """
    from soundness.settings.loading import load_settings

    settings = load_settings(system, overrides=overrides)
    check_extra()
    from soundness.training import run as training

    return training.train(
        data,
        out,
        system=system,
        settings=settings,
        separator=None if separator is None else Path(separator),
        machines=machines,
        seed=seed,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
        announce=announce,
    )


def train_separator(
    data: PathLike,
    out: PathLike,
    *,
    overrides: Iterable[str] = (),
    machines: Sequence[str] = (),
    start: PathLike | None = None,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> "tuple[Separator, list[Path]]":
    """Train a separator on the supplemental clips of a data set and measure it.

    Parameters
    ----------
    data
        A data set of any layout.
    out
        The separator's file; pictures go to its sibling ``<out>_pictures``, without the suffix.
    overrides
        ``key=value`` each, settings of `soundness.settings.system.SeparatorSettings`.
    machines
        Machine types whose sound is learned; all of them where none is named.
    start
        A separator to begin with.
    seed
        Of everything random.
    resume
        Go on with a training that was interrupted.
    overwrite
        Replace an earlier separator.
    progress
        Is told what is going on, how much of it is done, and of how much.

    Returns
    -------
    tuple
        The separator, and a picture of each machine.

    Raises
    ------
    SoundnessError
        If the settings, the data or the file do not do, or the extra ``train`` is not installed.
    """
    from soundness.settings.loading import load_separator_settings

    settings = load_separator_settings(overrides=overrides)
    check_extra()
    from soundness.separation import training as separator_training
    from soundness.separation.pictures import draw_separation

    out = Path(out)
    trained = separator_training.train_separator(
        data,
        out,
        settings=settings,
        machines=machines,
        start=None if start is None else Path(start),
        seed=seed,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )
    folder = out.with_name(f"{out.stem}_pictures")
    pictures = [folder / f"{example.machine_type}.png" for example in trained.examples]
    for example, picture in zip(trained.examples, pictures, strict=True):
        draw_separation(example, picture, sample_rate=settings.sample_rate)
    return trained.separator, pictures


def separate(
    separator: PathLike,
    recordings: Iterable[PathLike],
    out: PathLike,
    *,
    has_noise: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> "SeparationReport":
    """Write the machine in each recording to a file; see `soundness.separation.recordings.separate_files`.

    Parameters
    ----------
    separator
        A separator's file.
    recordings
        Recordings, and folders that are searched for them.
    out
        Folder of the results.
    has_noise
        Write what is left of each recording, too.
    overwrite
        Replace recordings that are there.
    progress
        Is told how many recordings are done, and of how many.

    Raises
    ------
    SoundnessError
        If nothing can be separated; a recording that cannot be used is in the report instead.
    """
    check_extra()
    from soundness.separation.recordings import separate_files
    from soundness.separation.saving import load_separator

    loaded = load_separator(Path(separator))
    return separate_files(loaded, recordings, out, has_noise=has_noise, overwrite=overwrite, progress=progress)


def load(detector: PathLike) -> "dict[str, Detector]":
    """Detectors of one file, or of a run's folder, by machine type.

    Raises
    ------
    BundleError
        If there is no detector there, or one of them cannot be read.
    MissingExtraError
        If the extra ``train`` is not installed.
    """
    check_extra()
    from soundness.detectors.saving import load_detectors

    return load_detectors(Path(detector))


def score(
    detector: PathLike,
    clips: Iterable[PathLike],
    out: PathLike,
    *,
    overwrite: bool = False,
    has_alarms: bool = False,
    runtime: Literal["torch", "onnx"] = "torch",
    n_workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> "ScoringReport":
    """Score recordings and write the challenge's two files for each machine; see `soundness.detectors.bulk_scoring.score_clips`.

    Parameters
    ----------
    detector
        A detector's file, or a run's folder; with the runtime ``onnx`` an exported one, or a folder of them.
    clips
        Recordings, folders of them, or data sets, of which the test clips are scored.
    out
        Folder of the score files.
    overwrite
        Replace the scores that are there.
    has_alarms
        Apply each detector's alarm rule to its recordings, in the order of their names.
    runtime
        What computes: PyTorch, or onnxruntime, which needs no extra but ``runtime``.
    n_workers
        Threads; the number of cores where it is ``None``.
    progress
        Is told how many recordings are done, and of how many.

    Raises
    ------
    SoundnessError
        If nothing can be scored; a recording that cannot be used is in the report instead.
    """
    from soundness.detectors.bulk_scoring import score_clips
    from soundness.detectors.exported import load_exports

    if runtime not in ("torch", "onnx"):
        raise SettingsError(f"runtime: {runtime!r}; expected torch or onnx")
    detectors: Mapping[str, AnyDetector] = load_exports(detector) if runtime == "onnx" else load(detector)
    return score_clips(
        detectors, clips, out, overwrite=overwrite, has_alarms=has_alarms, n_workers=n_workers, progress=progress
    )


def evaluate(scores: PathLike, *, truth: PathLike | None = None, metric: str | None = None) -> "Evaluation":
    """The challenge's figures of a folder of scores; see `soundness.evaluation.results.evaluate`.

    Parameters
    ----------
    scores
        Folder of score files, anybody's.
    truth
        A labelled data set, or the official evaluator's truth; file names tell where it is ``None``.
    metric
        ``2020``, ``2021``, or ``2022`` for that year and all later ones; ``None`` recognises the year by the names.

    Raises
    ------
    ScoresError
        If nothing can be evaluated.
    SettingsError
        If there is no such metric.
    """
    from soundness.evaluation import results as evaluation

    return evaluation.evaluate(Path(scores), truth=None if truth is None else Path(truth), metric=metric)


def check_extra() -> None:
    """Make sure that the extra ``train`` is installed, which all that listens to sound with a detector needs.

    Raises
    ------
    MissingExtraError
        If one of its packages is not.
    """
    for package in _TRAIN_PACKAGES:
        try:
            found = find_spec(package)
        except ValueError:  # a module that was put aside, and has no spec
            found = None
        if found is None:
            raise MissingExtraError(f"this needs the package {package}: pip install 'soundness[train]'")
