"""Tables of numbers as recordings, by their suffix; each is read as a whole."""

import os
import struct
import threading
import zipfile
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import BinaryIO

from soundness.aliases import Waveform
from soundness.audio.formats import TEXT_SUFFIXES
from soundness.audio.tables.columns import Table, TableSound, chosen
from soundness.errors import MissingExtraError, UnreadableError
from soundness.extras import missing_extra
from soundness.settings.system import AudioSettings

__all__ = ["TableFile"]

_MOST_KEPT = 4
_MOST_BYTES_KEPT = 2**25
_KEPT: dict[Hashable, TableSound] = {}
_LOCK = threading.Lock()

# What the libraries raise at bytes that are none of their format.
_DAMAGES = (ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, NotImplementedError)
_DAMAGED = (*_DAMAGES, OSError, RuntimeError, TypeError, ValueError, struct.error, zipfile.BadZipFile)


class TableFile:
    """Channels of a table in an open file.

    Parameters
    ----------
    file
        The file, opened to read bytes.
    path
        Its path, whose suffix says its format.
    audio
        Sample rate and columns.

    Raises
    ------
    AudioError
        If it is damaged, has no such columns, or states no sample rate.
    MissingExtraError
        If the package that reads it is not installed.
    """

    def __init__(self, file: BinaryIO, path: Path, audio: AudioSettings) -> None:
        sound = _sound(file, path, audio)
        self.sample_rate, self.n_channels, self.coding = sound.sample_rate, sound.samples.shape[1], ""
        self._samples = sound.samples

    def count(self) -> int:
        """Samples per channel."""
        return len(self._samples)

    def blocks(self, block_samples: int) -> Iterator[Waveform]:
        """Read the samples, shape ``(time, channel)``, at most ``block_samples`` at a time."""
        for start in range(0, len(self._samples), block_samples):
            yield self._samples[start : start + block_samples]


def _sound(file: BinaryIO, path: Path, audio: AudioSettings) -> TableSound:
    """Channels of a table; the last few that were read are kept, for a scoring reads each several times."""
    status = os.fstat(file.fileno())
    key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, path.suffix, audio.rate, audio.columns)
    with _LOCK:
        kept = _KEPT.get(key)
    if kept is not None:
        return kept
    sound = chosen(_read(file, path), audio)
    if sound.samples.nbytes <= _MOST_BYTES_KEPT:
        with _LOCK:
            _KEPT[key] = sound
            while len(_KEPT) > _MOST_KEPT:
                _KEPT.pop(next(iter(_KEPT)))
    return sound


def _read(file: BinaryIO, path: Path) -> Table:
    suffix = path.suffix.lower()
    try:
        return _table(file, path, suffix)
    except ModuleNotFoundError as error:
        raise _named(error) from None
    except _DAMAGED as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UnreadableError(f"damaged, or no {suffix} file: {reason[:200]}") from error


def _named(error: ModuleNotFoundError) -> Exception:
    found = missing_extra(error)
    return found if isinstance(found, MissingExtraError) else error


def _table(file: BinaryIO, path: Path, suffix: str) -> Table:
    from soundness.audio.tables import arrays, matlab, measurements, text

    if suffix in TEXT_SUFFIXES:
        return text.read_text(file)
    if suffix in (".npy", ".npz"):
        return arrays.read_numpy(file)
    if suffix == ".mat":
        return matlab.read_matlab(file, path)
    if suffix in (".h5", ".hdf5"):
        return measurements.read_hdf5(file)
    if suffix == ".parquet":
        return measurements.read_parquet(file)
    return measurements.read_tdms(file) if suffix == ".tdms" else measurements.read_universal(file, path)
