"""What one does with soundness, as functions: the commands of the command line, one for one."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.aliases import PathLike, Progress
from soundness.extras import check_extra

if TYPE_CHECKING:  # each verb loads what it needs, and no more
    from soundness.separation.separator import Separator

__all__ = ["train_separator"]


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
