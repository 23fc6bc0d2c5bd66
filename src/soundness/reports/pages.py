"""Self-contained HTML pages: templates, and pictures and sounds as data URIs."""

import base64
import io
import re
from importlib import resources
from typing import Any, Literal

import numpy as np
import soundfile  # type: ignore[import-untyped]  # it ships no types
import soxr  # type: ignore[import-untyped]  # likewise
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from soundness.aliases import Array
from soundness.errors import AudioError

__all__ = ["Colours", "audio_uri", "data_uri", "map_image", "map_uri", "page_colours", "render_page", "shrink"]

Colours = Literal["magma", "RdBu_r"]

_PLAYER_RATE = 16_000
_PEAK = 0.9
_AUDIBLE = 1e-12  # of full scale; no converter has so many bits
_PLAYER_FORMAT = "MP3"  # about 4 kB a second, and every browser plays it
_PALETTES = {  # 64 colours: they compress better than more, and look the same
    "magma": bytes.fromhex(
        "00000402010903031206051a0a08220e0b2b130d34180f3d1d114722115029115a2f116336106b3d0f71440f764a1079"
        "52137c59157e5f187f651a806b1d81721f817822817e24828426818b2981912b81982d809e2f7fa5317eab337cb2357b"
        "ba3878c03a76c73d73cd4071d3436ed9466bdf4a68e44f64e95462ed5a5ff1605df4675cf66e5cf8765cfa7d5efb8560"
        "fc8e64fd9668fe9d6cfea571feac76feb47bfebb81fec287feca8dfed194fed89afde0a1fde7a9fceeb0fcf6b8fcfdbf"
    ),
    "RdBu_r": bytes.fromhex(
        "05306109386d0e41791249841752901b5a9c1f63a8246aae2a71b22f79b53480b93a87bd3f8ec04695c4529dc85fa5cd"
        "6eaed27bb6d687beda93c6de9dcbe1a7d0e4b1d5e7bbdaeac5dfeccfe4efd5e7f1dbeaf2e1edf3e7f0f4edf2f5f3f5f6"
        "f8f4f2f9f0ebf9ebe3fae7dcfbe3d4fcdecdfdd9c4fbd0b9fac8aff8bfa4f7b799f6af8ef4a683f09c7beb9172e6866a"
        "e17860dc6e57d7634fd25849cc4c44c6413ec13639bb2a34b61f2eae172aa21328960f278a0b257f082373042167001f"
    ),
}
"""Red, green and blue of Matplotlib's colour maps; Matplotlib itself takes a quarter of a second to load."""


def render_page(template: str, **context: Any) -> str:
    """Render a template of the package; values are escaped, unless they are `Markup`.

    Parameters
    ----------
    template
        File of ``reports/templates``; one that extends ``page.html`` has its style, for light, dark and print.
    **context
        Values by name; a name that the template uses and that is missing is an error.

    Returns
    -------
    str
        The page; what UTF-8 cannot represent, as in some names of files, is replaced.
    """
    environment = Environment(
        loader=PackageLoader("soundness.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template(template).render(context)
    return html.encode("utf-8", errors="replace").decode("utf-8")


def data_uri(content: bytes, *, media_type: str) -> str:
    """Encode bytes as a data URI, such as ``data:image/png;base64,...``."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def map_uri(values: NDArray[np.floating[Any]], *, low: float, high: float, colours: Colours = "magma") -> str:
    """Draw a map, such as a log-mel, as a PNG with one pixel for each value and a palette of 64 colours.

    Parameters
    ----------
    values
        Map, shape ``(band, frame)``; the lowest band is drawn at the bottom.
    low, high
        Values of the first and the last colour; `high` is above `low`.
    colours
        Colour map: from dark to bright (``magma``), or from blue over white to red.
    """
    file = io.BytesIO()
    map_image(values, low=low, high=high, colours=colours).save(file, format="PNG", compress_level=9)
    return data_uri(file.getvalue(), media_type="image/png")


def map_image(values: NDArray[np.floating[Any]], *, low: float, high: float, colours: Colours = "magma") -> Image.Image:
    """Draw a map as an image; see `map_uri`."""
    palette = _PALETTES[colours]
    shares = np.clip((np.asarray(values, dtype=np.float64) - low) / (high - low), 0.0, 1.0)
    pixels = np.round(shares * (len(palette) // 3 - 1)).astype(np.uint8)[::-1]
    image = Image.fromarray(pixels)
    image.putpalette(palette)
    return image


def page_colours() -> dict[str, str]:
    """Colours of the pages in light, by name, such as ``#0b6b73``."""
    style = resources.files("soundness.reports").joinpath("templates", "page.css").read_text(encoding="utf-8")
    light = style[: style.index("@media")]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light))


def shrink(values: NDArray[np.floating[Any]], n_most: int, *, axis: int = 1) -> Array:
    """Average neighbouring values along an axis, so that about ``n_most`` or fewer are left."""
    step = -(-values.shape[axis] // n_most)
    starts = np.arange(0, values.shape[axis], step)
    sums = np.add.reduceat(np.asarray(values, dtype=np.float64), starts, axis=axis)
    counts = np.diff(np.append(starts, values.shape[axis]))
    means: Array = sums / (counts if axis == values.ndim - 1 else counts[:, None])
    return means


def player_gain(peak: float) -> np.float32:
    """Gain of sounds for a player, by the largest sample of all; 1 for what is as good as silence."""
    return np.float32(_PEAK / peak if peak > _AUDIBLE else 1.0)


def audio_uri(waveform: NDArray[np.float32], *, sample_rate: int) -> str:
    """Encode a sound for a player of a page: MP3 at 16 kHz, about 4 kB a second.

    Parameters
    ----------
    waveform
        Samples in [-1, 1], shape ``(time,)``.
    sample_rate
        Sample rate in Hz; other rates than 16 kHz are resampled.

    Raises
    ------
    AudioError
        If this computer's libsndfile cannot write MP3.
    """
    if sample_rate != _PLAYER_RATE:
        waveform = soxr.resample(waveform, sample_rate, _PLAYER_RATE)
    file = io.BytesIO()
    try:
        # whole numbers: an encoder may abort, and the process with it, at numbers that are none or nearly zero
        samples = np.rint(32767.0 * np.clip(np.nan_to_num(waveform), -1.0, 1.0)).astype(np.int16)
        soundfile.write(file, samples, _PLAYER_RATE, format=_PLAYER_FORMAT)
    except (soundfile.SoundFileError, ValueError) as error:
        raise AudioError(f"no sound for a page: libsndfile cannot write {_PLAYER_FORMAT}: {error}") from None
    return data_uri(file.getvalue(), media_type="audio/mpeg")
