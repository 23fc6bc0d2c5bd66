"""Picture of an explanation, drawn in a separate process, for Matplotlib takes a second to load.

The process runs `run` in this interpreter: it loads Matplotlib, waits for a `Picture` and writes a PNG. This module
itself does not load Matplotlib.
"""

import importlib
import io
import os
import pickle
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from soundness.errors import OutputError

if TYPE_CHECKING:  # loaded when it is needed
    from matplotlib.axes import Axes

__all__ = ["DrawingProcess", "Picture", "PictureMap", "draw", "drawing_process", "run"]

_LINE_LENGTH = 165  # characters
_MOST_LINES = 3
_DPI = 100
_DRAWN_WITH = ("matplotlib.figure", "matplotlib.patches", "matplotlib.backends.backend_agg")
_PROGRAM = """import signal
from soundness.reports.explanation_figure import run
signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent process
run()"""

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PictureMap:
    """Map of time by frequency.

    Parameters
    ----------
    title
        Text above it.
    values
        Values, shape ``(band, column)``; the lowest band is drawn at the bottom.
    low, high
        Values of the first and the last colour.
    colours
        Colour map of Matplotlib.
    seconds
        Width in time.
    """

    title: str
    values: Array
    low: float
    high: float
    colours: str
    seconds: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Picture:
    """Content of a picture.

    Parameters
    ----------
    title, verdict, sentences
        Lines of text.
    log_mels
        Log-mel spectrograms of the clip, and of the nearest normal one if there is one.
    deviations
        Deviation of the clip from normal.
    boxes
        Boxes around anomalous regions: first and last second, first and last band.
    bands
        Share of each band, shape ``(band,)``.
    y_ticks
        Positions in per cent of the height of a map, and their labels.
    """

    title: str
    verdict: str
    sentences: tuple[str, ...]
    log_mels: tuple[PictureMap, ...]
    deviations: PictureMap
    boxes: tuple[tuple[float, float, int, int], ...]
    bands: Array
    y_ticks: tuple[tuple[float, str], ...]


def draw(picture: Picture) -> bytes:
    """Draw the log-mel spectrograms of the clip and of the nearest normal one, and the deviations, as a PNG."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(11.0, 7.2))
    grid = figure.add_gridspec(
        2, 3, width_ratios=(1, 1, 0.22), left=0.07, right=0.98, top=0.81, bottom=0.08, hspace=0.3, wspace=0.18
    )
    figure.text(0.07, 0.955, picture.title, fontsize=12, weight="bold", parse_math=False)  # a name is no formula
    figure.text(0.07, 0.925, picture.verdict, fontsize=9, color="#555555")
    words = [line for sentence in picture.sentences for line in textwrap.wrap(sentence, _LINE_LENGTH)]
    figure.text(0.07, 0.915, "\n".join(words[:_MOST_LINES]), fontsize=9, verticalalignment="top", linespacing=1.4)
    for column, log_mel in enumerate(picture.log_mels):
        _draw_map(figure.add_subplot(grid[0, column]), log_mel, picture.y_ticks)
    axis = figure.add_subplot(grid[1, :2])
    _draw_map(axis, picture.deviations, picture.y_ticks)
    for start, end, first, last in picture.boxes:
        axis.add_patch(Rectangle((start, first - 1), end - start, last - first + 3, fill=False, linewidth=1.2))
    bars = figure.add_subplot(grid[1, 2])
    bars.stairs(
        100 * picture.bands / max(float(picture.bands.sum()), 1e-300),
        orientation="horizontal",
        fill=True,
        color="#0b6b73",
    )
    bars.set(xlim=(0, None), ylim=(0, len(picture.bands)), yticks=[])
    bars.set_title("share of band, %", fontsize=10)
    bars.tick_params(labelsize=8)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # names may contain any character
        figure.savefig(file, dpi=_DPI, format="png", pil_kwargs={"compress_level": 2})
    return file.getvalue()


class DrawingProcess:
    """Process that is loading Matplotlib, or has loaded it.

    Parameters
    ----------
    process
        Process of `run`, with pipes at both ends.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def draw(self, picture: Picture) -> bytes:
        """Draw one picture, as `draw`.

        Raises
        ------
        OutputError
            If the process ends without a picture.
        """
        png, _ = self._process.communicate(pickle.dumps(picture))
        if self._process.returncode != 0:
            raise OutputError(f"no picture: the process that draws it ended with status {self._process.returncode}")
        return png


@contextmanager
def drawing_process() -> Iterator[DrawingProcess]:
    """Start a process to draw in, which ends with the block, whether it has drawn or not.

    Raises
    ------
    OutputError
        If no process can be started.
    """
    command = [sys.executable, "-P", "-c", _PROGRAM]
    found = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]  # so that it finds this package
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, found))}
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    except OSError as error:
        raise OutputError(f"no picture: {sys.executable or 'no Python'}: cannot be started: {error.strerror}") from None
    with process:
        try:
            yield DrawingProcess(process)
        finally:
            if process.returncode is None:
                process.kill()


def run() -> None:
    """Load Matplotlib, then draw the picture on standard input, if there is one."""
    for name in _DRAWN_WITH:
        importlib.import_module(name)
    content = sys.stdin.buffer.read()
    if content:
        sys.stdout.buffer.write(draw(pickle.loads(content)))


def _draw_map(axis: "Axes", drawn: PictureMap, y_ticks: tuple[tuple[float, str], ...]) -> None:
    axis.imshow(
        drawn.values,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(0.0, drawn.seconds, 0.0, float(len(drawn.values))),
        cmap=drawn.colours,
        vmin=drawn.low,
        vmax=drawn.high,
    )
    places, texts = zip(*y_ticks, strict=True)
    axis.set_yticks([place / 100 * len(drawn.values) for place in places], texts)
    axis.tick_params(labelsize=8)
    axis.set_title(drawn.title, fontsize=10)
    axis.set_xlabel("s", fontsize=8, labelpad=1)
