"""Audio of clips: found by the store's rows, below the store's folder and nowhere else; and its spectrogram."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile  # type: ignore[import-untyped]  # it ships no types
from numpy.typing import NDArray

from soundness.audio.log_mel import LogMel, band_centres
from soundness.monitoring.capture.clip_files import ClipFile, ClipFolder
from soundness.monitoring.store.records import ClipRow
from soundness.monitoring.store.store import Store
from soundness.reports.frequency_axis import FrequencyAxis
from soundness.reports.pages import map_image, shrink
from soundness.settings.system import LogMelSettings

__all__ = ["Spectrogram", "clip_audio", "ring_clips", "spectrogram"]

_FRAME_SECONDS = 0.064
_N_MELS = 64
_MOST_COLUMNS = 640


def clip_audio(store: Store, clip: ClipRow) -> Path | None:
    """File of a clip's audio: what is kept, else what is in the ring; ``None`` without any."""
    root = store.folder.resolve()
    if clip.audio:
        found = (root / clip.audio).resolve()
        if found.is_relative_to(root / "audio") and found.is_file():
            return found
    return next((one.path for one in ring_clips(store, clip.sensor_id) if one.number == clip.number), None)


def ring_clips(store: Store, sensor_id: int, *, most: int | None = None) -> list[ClipFile]:
    """Last clips of a sensor that are on disk, the latest last."""
    if not (store.folder / "ring" / str(sensor_id)).is_dir():
        return []
    found = ClipFolder(store.folder, str(sensor_id)).left_quietly()
    return found if most is None else found[-most:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrogram:
    """Log-mel spectrogram of some clips, one after the other, as a picture.

    Parameters
    ----------
    png
        The picture.
    ticks
        Places of frequencies as shares of the height from the bottom, and their names.
    """

    png: bytes
    ticks: tuple[tuple[float, str], ...]


def spectrogram(paths: Sequence[Path]) -> Spectrogram | None:
    """Spectrogram of recordings of one sample rate, the latest deciding; ``None`` if none can be read."""
    read = [found for path in paths if (found := _read(path)) is not None]
    if not read:
        return None
    rate = read[-1][1]
    sound = np.concatenate([samples for samples, other in read if other == rate])
    n_fft = 2 ** round(np.log2(_FRAME_SECONDS * rate))
    hop = min(n_fft, max(n_fft // 2, -(-len(sound) // (4 * _MOST_COLUMNS))))
    settings = LogMelSettings(n_fft=n_fft, hop_length=hop, n_mels=_N_MELS, fmax=rate / 2)
    axis, values = FrequencyAxis(band_centres(settings)), LogMel(settings, sample_rate=rate)(sound)
    low, high = np.percentile(values, (2, 99.8))
    picture = map_image(axis.drawn(shrink(values, _MOST_COLUMNS)), low=float(low), high=float(max(high, low + 1.0)))
    file = io.BytesIO()
    picture.save(file, format="PNG", compress_level=6)
    return Spectrogram(png=file.getvalue(), ticks=tuple(axis.ticks()))


def _read(path: Path) -> tuple[NDArray[np.float32], int] | None:
    """Samples of a clip; ``None`` if it has just been deleted, or cannot be read."""
    try:
        found: tuple[NDArray[Any], int] = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError):
        return None
    return found[0][:, 0], found[1]
