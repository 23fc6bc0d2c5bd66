"""What one does with soundness, as functions: the commands of the command line, one for one."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.aliases import Announce, PathLike, Progress
from soundness.extras import check_extra
from soundness.settings.loading import DEFAULT_SYSTEM

if TYPE_CHECKING:  # each verb loads what it needs, and no more
    from soundness.detectors.detector import Detector
    from soundness.separation.separator import Separator

__all__ = ["train", "train_separator"]


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
    progress: Progress | None = None,
    announce: Announce | None = None,
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
    progress: Progress | None = None,
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
