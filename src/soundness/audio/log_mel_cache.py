"""Log-mels of recordings kept on disk, so that several systems compute each once."""

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundness.files.atomic import write_whole
from soundness.regular_files import read_regular
from soundness.settings.system import SystemSettings

__all__ = ["CachedLogMel", "LogMelCache"]

_HEADER = struct.Struct("<IIQ?")  # bands, frames, samples, has sound; .npy's would be parsed, which is not thread-safe
_FORMAT = "3"  # changes whenever a recording's log-mel changes, even in its last bits


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
            content = read_regular(self._file(recording, settings, separator))
            n_mels, n_frames, n_samples, has_sound = _HEADER.unpack_from(content)
            log_mel = np.frombuffer(content, "<f4", offset=_HEADER.size).reshape(n_mels, n_frames)
        except (FileNotFoundError, struct.error, ValueError):  # none, or cut short by a crash of the computer
            return None
        if len(log_mel) != settings.log_mel.n_mels or n_frames < 1 or not np.isfinite(log_mel).all():
            return None
        return CachedLogMel(log_mel.astype(np.float32), has_sound, n_samples)

    def put(self, recording: Path, settings: SystemSettings, kept: CachedLogMel, *, separator: str) -> None:
        """Keep the log-mel of a recording; see `get`."""
        header = _HEADER.pack(*kept.log_mel.shape, kept.n_samples, kept.has_sound)
        file = self._file(recording, settings, separator)
        write_whole(file, header + kept.log_mel.astype("<f4").tobytes(), is_durable=False)

    def _file(self, recording: Path, settings: SystemSettings, separator: str) -> Path:
        status = recording.stat()
        parts = (
            _FORMAT,
            str(recording.resolve()),
            str(status.st_size),
            str(status.st_mtime_ns),
            settings.audio.model_dump_json(exclude={"clip_seconds"}),
            settings.log_mel.model_dump_json(),
            separator,
        )
        return self.folder / f"{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()}.logmel"
