"""Log-mels of recordings kept on disk, so that several systems hear a recording once."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundness.settings.system import SystemSettings

__all__ = ["CachedLogMel", "LogMelCache"]


_FORMAT = "2"  # another where a recording's log-mel becomes another, be it in the last bits


@dataclass(frozen=True, slots=True)
class CachedLogMel:
    """What a system needs of a recording.

    Parameters
    ----------
    log_mel
        dB, shape ``(mel, frame)``; of the recording, or of the machine that was separated from it.
    has_sound
        Whether the recording is anything but digital silence.
    n_samples
        Its length at the system's sample rate.
    """

    log_mel: NDArray[np.float32]
    has_sound: bool
    n_samples: int


class LogMelCache:
    """A folder of log-mels; what it gives is, to the last bit, what it was given.

    Several processes may use one folder. A recording that changed (its size, or the time of its change) is another.

    Parameters
    ----------
    folder
        Is made where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, recording: Path, settings: SystemSettings, *, separator: str) -> CachedLogMel | None:
        """What was kept of a recording, or ``None``.

        Parameters
        ----------
        recording
            An audio file.
        settings
            Of the system that hears it.
        separator
            Fingerprint of the separator that it goes through; empty where it goes through none.
        """
        try:
            with np.load(self._file(recording, settings, separator)) as kept:
                return CachedLogMel(kept["log_mel"], bool(kept["has_sound"]), int(kept["n_samples"]))
        except FileNotFoundError:
            return None

    def put(self, recording: Path, settings: SystemSettings, kept: CachedLogMel, *, separator: str) -> None:
        """Keep a recording; see `get`. A file is there as a whole or not at all."""
        file = self._file(recording, settings, separator)
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".partial", delete=False) as partial:
            np.savez(partial, log_mel=kept.log_mel, has_sound=kept.has_sound, n_samples=kept.n_samples)
        Path(partial.name).replace(file)

    def _file(self, recording: Path, settings: SystemSettings, separator: str) -> Path:
        status = recording.stat()
        parts = (
            _FORMAT,
            str(recording.resolve()),
            str(status.st_size),
            str(status.st_mtime_ns),
            settings.audio.model_dump_json(),
            settings.log_mel.model_dump_json(),
            separator,
        )
        return self.folder / f"{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()}.npz"
