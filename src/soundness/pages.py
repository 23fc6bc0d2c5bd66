"""Pages of HTML that need nothing but themselves: templates, and pictures and sounds as part of the text."""

import base64
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import soundfile  # type: ignore[import-untyped]  # it ships no types
import soxr  # type: ignore[import-untyped]  # likewise
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib import colormaps
from numpy.typing import NDArray

from soundness.errors import AudioError, OutputError

__all__ = ["audio_uri", "data_uri", "map_uri", "render_page", "write_file", "write_page"]

_PLAYER_RATE = 16_000
_PLAYER_FORMAT = "MP3"  # about 4 kB a second, and every browser plays it
_N_COLOURS = 64  # fewer compress better, and nobody sees it


def render_page(template: str, **context: Any) -> str:
    """A page from a template of the package; everything that is put into it is escaped, unless it is `Markup`.

    Parameters
    ----------
    template
        A file of ``soundness/templates``; one that extends ``page.html`` has its looks, in light, dark and print.
    **context
        What the template shows; a name that it lacks is an error.
    """
    environment = Environment(
        loader=PackageLoader("soundness", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(context)


def write_page(path: Path, html: str) -> None:
    """Write a page; see `write_file`."""
    write_file(path, html.encode("utf-8", errors="replace"))  # a file's name may hold what no page can


def write_file(path: Path, content: bytes) -> None:
    """Write a file; its folder is made where there is none.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def data_uri(content: bytes, *, media_type: str) -> str:
    """Bytes as an address that holds them, such as ``data:image/png;base64,...``."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def map_uri(values: NDArray[np.floating[Any]], *, low: float, high: float, colours: str = "magma") -> str:
    """A PNG of a map, such as a log-mel, a pixel for each value: small, for its colours come from a palette.

    Parameters
    ----------
    values
        Shape ``(band, frame)``; the lowest band is drawn at the bottom.
    low, high
        Values of the first and the last colour; `high` is above `low`.
    colours
        Of Matplotlib's colour maps.
    """
    shares = np.clip((np.asarray(values, dtype=np.float64) - low) / (high - low), 0.0, 1.0)
    pixels = np.round(shares * (_N_COLOURS - 1)).astype(np.uint8)[::-1]
    palette = (255 * colormaps[colours](np.linspace(0, 1, _N_COLOURS))[:, :3]).round().astype(np.uint8)
    n_rows, n_columns = pixels.shape
    rows = np.pad(pixels, ((0, 0), (1, 0)))  # a 0 before each row: no filter
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", n_columns, n_rows, 8, 3, 0, 0, 0)),
        (b"PLTE", palette.tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), level=9)),
        (b"IEND", b""),
    )
    return data_uri(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks), media_type="image/png")


def audio_uri(waveform: NDArray[np.float32], *, sample_rate: int) -> str:
    """A sound for a page's player: one channel at 16 kHz, compressed as MP3 to about 4 kB a second.

    Parameters
    ----------
    waveform
        In [-1, 1], shape ``(time,)``.
    sample_rate
        In Hz; another than 16 kHz is resampled.

    Raises
    ------
    AudioError
        If this computer's libsndfile cannot write MP3.
    """
    if sample_rate != _PLAYER_RATE:
        waveform = soxr.resample(waveform, sample_rate, _PLAYER_RATE)
    file = io.BytesIO()
    try:
        soundfile.write(file, np.clip(waveform, -1.0, 1.0), _PLAYER_RATE, format=_PLAYER_FORMAT)
    except (soundfile.SoundFileError, ValueError) as error:
        raise AudioError(f"no sound for a page: libsndfile cannot write {_PLAYER_FORMAT}: {error}") from None
    return data_uri(file.getvalue(), media_type="audio/mpeg")


def _chunk(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
