"""Log-mels of recordings kept on disk, with their details, so that several systems compute each once."""

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soundness.audio.spectra.details import ClipDetails
from soundness.files.atomic import write_whole
from soundness.regular_files import read_regular
from soundness.settings.system import SystemSettings

__all__ = ["CachedLogMel", "LogMelCache"]

_HEADER = struct.Struct("<IIQ?")  # bands, frames, samples, has sound; .npy's would be parsed, which is not thread-safe
_DETAILS = struct.Struct("<IIII")  # groups, frames, parts, bins; nothing follows where there are no details
_FORMAT = "5"  # changes whenever a recording's log-mel changes, even in its last bits


@dataclass(frozen=True, slots=True)
class CachedLogMel:
    """Log-mel of a recording, or of the machine separated from it, in dB, shape ``(mel, frame)``.

    ``has_sound`` is False for digital silence; ``n_samples`` is the length at the system's sample rate; ``details`` are
    ``None`` where the system does not use them.
    """

    log_mel: NDArray[np.float32]
    has_sound: bool
    n_samples: int
    details: ClipDetails | None = None


class LogMelCache:
    """Folder of log-mels, kept exact to the last bit; made if it does not exist.

    Several processes may share it. A recording whose size or time of change differs counts as another.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, recording: Path, settings: SystemSettings, *, separator: str) -> CachedLogMel | None:
        """Read the log-mel of a recording under the settings of a system; ``None`` if there is none.

        One without details is none for a system that needs them.

        ``separator`` is the fingerprint of the separator that is applied; empty for none.
        """
        try:
            content = read_regular(self._file(recording, settings, separator))
            n_mels, n_frames, n_samples, has_sound = _HEADER.unpack_from(content)
            log_mel = _values(content, _HEADER.size, n_mels, n_frames)
            details = _details(content, _HEADER.size + log_mel.nbytes) if settings.needs_details else None
        except (FileNotFoundError, struct.error, ValueError):  # none, or cut short by a crash of the computer
            return None
        if len(log_mel) != settings.log_mel.n_mels or n_frames < 1 or not np.isfinite(log_mel).all():
            return None
        return CachedLogMel(log_mel, has_sound, n_samples, details)

    def put(self, recording: Path, settings: SystemSettings, kept: CachedLogMel, *, separator: str) -> None:
        """Keep the log-mel of a recording; see `get`."""
        parts = [_HEADER.pack(*kept.log_mel.shape, kept.n_samples, kept.has_sound), _bytes(kept.log_mel)]
        if kept.details is not None:
            arrays = (kept.details.envelopes, kept.details.long_spectra)
            parts += [_DETAILS.pack(*(size for array in arrays for size in array.shape)), *map(_bytes, arrays)]
        write_whole(self._file(recording, settings, separator), b"".join(parts), is_durable=False)

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


def _details(content: bytes, offset: int) -> ClipDetails:
    """Details of a recording, which begin at a byte of an entry; an error if there are none."""
    n_groups, n_frames, n_parts, n_bins = _DETAILS.unpack_from(content, offset)
    envelopes = _values(content, offset + _DETAILS.size, n_groups, n_frames)
    long_spectra = _values(content, offset + _DETAILS.size + envelopes.nbytes, n_parts, n_bins)
    if not (np.isfinite(envelopes).all() and np.isfinite(long_spectra).all()):
        raise ValueError("details that are not finite")
    return ClipDetails(envelopes=envelopes, long_spectra=long_spectra)


def _values(content: bytes, offset: int, n_rows: int, n_columns: int) -> NDArray[np.float32]:
    """Array of the shape ``(n_rows, n_columns)`` that begins at a byte of an entry."""
    found = np.frombuffer(content, "<f4", count=n_rows * n_columns, offset=offset)
    return found.reshape(n_rows, n_columns).astype(np.float32)


def _bytes(array: NDArray[np.float32]) -> bytes:
    return array.astype("<f4").tobytes()
