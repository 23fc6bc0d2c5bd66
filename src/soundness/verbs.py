"""What one does with soundness, as functions: the commands of the command line, one for one."""

from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.errors import MissingExtraError

if TYPE_CHECKING:  # each verb loads what it needs, and no more
    from soundness.detector import Detector
    from soundness.evaluation import Evaluation
    from soundness.factory import FactoryResult
    from soundness.inspection import Inspection
    from soundness.screening import ScoringReport

__all__ = ["check_extra", "evaluate", "inspect", "load", "make_data", "score", "train"]

_TRAIN_PACKAGES = ("torch", "safetensors", "pytorch_lightning", "matplotlib")

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
    from soundness.datasets import open_dataset
    from soundness.inspection import inspect_dataset

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
        Fields of `soundness.factory.FactorySettings`.

    Raises
    ------
    SettingsError
        If a setting is unknown or out of range.
    OutputError
        If ``out`` holds something already, or cannot be written.
    """
    from soundness.factory import FactorySettings, make_data
    from soundness.settings import validated

    return make_data(Path(out), settings=validated(FactorySettings, settings), overwrite=overwrite, progress=progress)


def train(
    data: PathLike,
    out: PathLike,
    *,
    system: str = "conditional",
    overrides: Iterable[str] = (),
    machines: Sequence[str] = (),
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> "list[Detector]":
    """Train a detector for each machine of a data set; see `soundness.training.train`.

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

    Raises
    ------
    SoundnessError
        If the settings, the data or the folder do not do, or the extra ``train`` is not installed.
    """
    from soundness.settings import load_settings

    settings = load_settings(system, overrides=overrides)
    check_extra()
    from soundness import training

    return training.train(
        data,
        out,
        system=system,
        settings=settings,
        machines=machines,
        seed=seed,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )


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
    from soundness.bundle import load_detectors

    return load_detectors(Path(detector))


def score(
    detector: PathLike,
    clips: Iterable[PathLike],
    out: PathLike,
    *,
    overwrite: bool = False,
    n_workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> "ScoringReport":
    """Score recordings and write the challenge's two files for each machine; see `soundness.screening.score_clips`.

    Parameters
    ----------
    detector
        A detector's file, or a run's folder.
    clips
        Recordings, folders of them, or data sets, of which the test clips are scored.
    out
        Folder of the score files.
    overwrite
        Replace the scores that are there.
    n_workers
        Threads; the number of cores where it is ``None``.
    progress
        Is told how many recordings are done, and of how many.

    Raises
    ------
    SoundnessError
        If nothing can be scored; a recording that cannot be used is in the report instead.
    """
    detectors = load(detector)
    from soundness.screening import score_clips

    return score_clips(detectors, clips, out, overwrite=overwrite, n_workers=n_workers, progress=progress)


def evaluate(scores: PathLike, *, truth: PathLike | None = None) -> "Evaluation":
    """The challenge's figures of a folder of scores; see `soundness.evaluation.evaluate`.

    Parameters
    ----------
    scores
        Folder of score files, anybody's.
    truth
        A labelled data set, or the official evaluator's truth; file names tell where it is ``None``.

    Raises
    ------
    ScoresError
        If nothing can be evaluated.
    """
    from soundness import evaluation

    return evaluation.evaluate(Path(scores), truth=None if truth is None else Path(truth))


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
