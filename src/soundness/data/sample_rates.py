"""Sample rate that the recordings of a data set share."""

from collections.abc import Sequence
from functools import partial

from soundness.aliases import PathLike
from soundness.audio.reading import read_info
from soundness.data.clips import Clip
from soundness.data.datasets import Selection, open_dataset
from soundness.errors import DataError
from soundness.settings.loading import DEFAULT_SYSTEM, load_settings
from soundness.settings.system import AudioSettings, SystemSettings
from soundness.threads import map_recordings

__all__ = ["native_overrides"]


def native_overrides(
    data: PathLike | Selection,
    system: PathLike | SystemSettings = DEFAULT_SYSTEM,
    overrides: Sequence[str] = (),
    *,
    machines: Sequence[str] = (),
) -> list[str]:
    """Settings, as for ``--set``, under which recordings keep their own sample rate, with all frequencies that it has.

    Parameters
    ----------
    data
        A data set of any layout, or a folder of normal recordings.
    system
        A system whose settings say how tables of numbers are read.
    overrides
        Changes to them.
    machines
        Machine types; all if empty.

    Raises
    ------
    DataError
        If the training recordings differ in sample rate; an `AudioError` if one cannot be read.
    """
    audio = load_settings(system, overrides=_without_bands(overrides)).audio
    dataset = open_dataset(data)
    clips = [clip for machine in dataset.chosen(machines) for clip in machine.train]
    infos = map_recordings(partial(_sample_rate, audio), clips)
    rates = sorted(set(infos))
    if len(rates) != 1:
        found = " and ".join(f"{rate} Hz" for rate in rates[:3]) or "no training recording"
        raise DataError(f"{found}; expected one sample rate to keep", path=dataset.root)
    return [f"audio.sample_rate={rates[0]}", f"log_mel.fmax={rates[0] / 2}"]


def _without_bands(overrides: Sequence[str]) -> list[str]:
    """Changes but for those of the bands, which may fit the sample rate to come alone."""
    return [one for one in overrides if not one.startswith("log_mel.")]


def _sample_rate(audio: AudioSettings, clip: Clip) -> int:
    return read_info(clip.path, audio=audio).sample_rate
