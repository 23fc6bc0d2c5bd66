"""Log-mels of recordings kept on disk, so that several systems compute each once."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundness.atomic_files import whole_file
from soundness.settings.system import SystemSettings

__all__ = ["CachedLogMel", "LogMelCache"]

_FORMAT = "2"  # changes whenever a recording's log-mel changes, even in its last bits


@dataclass(frozen=True, slots=True)
class CachedLogMel:
    """Log-mel of a recording, or of the machine separated from it, in dB, shape ``(mel, frame)``.

    ``has_sound`` is False for digital silence; ``n_samples`` is the length at the system's sample rate.
    """

    log_mel: NDArray[np.float32]
    has_sound: bool
    n_samples: int


class LogMelCache:
    """Folder of log-mels, kept exact to the last bit; made if it does not exist.

    Several processes may share it. A recording whose size or time of change differs counts as another.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, recording: Path, settings: SystemSettings, *, separator: str) -> CachedLogMel | None:
        """Read the log-mel of a recording under the settings of a system; ``None`` if there is none.

        ``separator`` is the fingerprint of the separator that is applied; empty for none.
        """
        try:
            with np.load(self._file(recording, settings, separator)) as kept:
                return CachedLogMel(kept["log_mel"], bool(kept["has_sound"]), int(kept["n_samples"]))
        except FileNotFoundError:
            return None

    def put(self, recording: Path, settings: SystemSettings, kept: CachedLogMel, *, separator: str) -> None:
        """Keep the log-mel of a recording; see `get`."""
        file = self._file(recording, settings, separator)
        with whole_file(file, is_durable=False) as partial, partial.open("wb") as stream:
            np.savez(stream, log_mel=kept.log_mel, has_sound=kept.has_sound, n_samples=kept.n_samples)

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
