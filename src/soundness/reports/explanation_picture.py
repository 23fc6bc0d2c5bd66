"""Picture of an explained recording: the page's first screen as a PNG, in its colours. Pillow draws it."""

import io
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from soundness.reports.explained_clip import ExplainedClip
from soundness.reports.explanation_page import (
    MOST_COLUMNS,
    Scale,
    boxes_of,
    deviation_scale,
    frequency_axis,
    is_signed,
    level_scale,
    score_scale,
    when,
    x_ticks,
)
from soundness.reports.pages import map_image, page_colours, shrink

__all__ = ["draw_explanation"]

_WIDTH, _MARGIN = 1240, 44
_BANNER, _LINE = 96, 27
_MAP_HEIGHT, _PAIR_HEIGHT = 330, 210
_AXIS, _BARS, _GAP = 66, 110, 44  # widths of the labels, of the bars and between two maps
_LINE_LENGTH, _BOLD_LENGTH, _MOST_LINES = 120, 108, 5
_FONTS = {False: ("DejaVuSans.ttf", "arial.ttf"), True: ("DejaVuSans-Bold.ttf", "arialbd.ttf")}


class _Place(NamedTuple):
    """Rectangle of a map, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def x(self, share: float) -> float:
        return self.left + share * self.width

    def y(self, share: float) -> float:
        return self.top + (1.0 - share) * self.height


def draw_explanation(explained: ExplainedClip) -> bytes:
    """Draw verdict, score, reason, the deviations from normal and both spectrograms, as a PNG."""
    words = _lines(explained.sentences)
    top = 240 + _LINE * len(words)
    image = Image.new("RGB", (_WIDTH, top + _MAP_HEIGHT + _PAIR_HEIGHT + 165), page_colours()["paper"])
    canvas = _Canvas(image)
    canvas.head(explained, words)
    deviations = _Place(_MARGIN + _AXIS, top + 30, _WIDTH - 2 * _MARGIN - _AXIS - _BARS - 12, _MAP_HEIGHT)
    canvas.deviations(explained, deviations)
    levels, top = level_scale(explained), deviations.top + _MAP_HEIGHT + 76
    width = (_WIDTH - 2 * _MARGIN - 2 * _AXIS - _GAP) // 2
    places = [_Place(_MARGIN + _AXIS + column * (width + _AXIS + _GAP), top, width, _PAIR_HEIGHT) for column in (0, 1)]
    canvas.map(explained, explained.explanation.log_mel, levels, places[0], start=explained.start_seconds)
    canvas.text((places[0].left, top - 30), "This clip", 17, is_bold=True)
    if explained.nearest is not None:
        canvas.map(explained, explained.nearest.log_mel, levels, places[1])
        canvas.text((places[1].left, top - 30), "The nearest normal clip", 17, is_bold=True)
    file = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(file, format="PNG", optimize=False)
    return file.getvalue()


def _lines(sentences: Sequence[str]) -> list[tuple[str, bool]]:
    """Sentences in lines, each with whether it is bold, which the first sentence is; as many as there is room for."""
    lines = [
        (line, index == 0)
        for index, sentence in enumerate(sentences)
        for line in textwrap.wrap(sentence, _LINE_LENGTH if index else _BOLD_LENGTH)
    ]
    if len(lines) > _MOST_LINES:
        last, is_bold = lines[_MOST_LINES - 1]
        lines[_MOST_LINES - 1 :] = [(f"{last} …", is_bold)]
    return lines


class _Canvas:
    """A picture that is being drawn."""

    def __init__(self, image: Image.Image) -> None:
        self._image = image
        self._draw = ImageDraw.Draw(image)
        self._colours = page_colours()

    def text(
        self, place: tuple[float, float], text: str, size: int, *, colour: str = "ink", is_bold: bool = False,
        anchor: str = "la",
    ) -> None:  # fmt: skip
        self._draw.text(place, text, fill=self._colours[colour], font=_font(size, is_bold=is_bold), anchor=anchor)

    def head(self, explained: ExplainedClip, words: Sequence[tuple[str, bool]]) -> None:
        """Draw the verdict, the names, the scale of the score and the reason."""
        verdict, right = explained.score.verdict, _WIDTH - _MARGIN
        colour = {"anomalous": "anomaly", "normal": "normal", "cannot tell": "unknown"}[verdict]
        box = (_MARGIN, 30, right, 30 + _BANNER)
        self._draw.rounded_rectangle(box, radius=14, fill=self._colours[colour])
        middle, size = 30 + _BANNER / 2, 52
        self.text((_MARGIN + 26, middle), verdict.upper(), size, colour="on-verdict", is_bold=True, anchor="lm")
        about = [explained.name, f"{explained.detector.machine_type}   {when(explained)}"]
        for line, height in zip(about, (-15, 15), strict=True):
            self.text((right - 26, middle + height), line[-60:], 20, colour="on-verdict", anchor="rm")
        self.scale(explained, _Place(_MARGIN, 30 + _BANNER + 34, right - _MARGIN, 24))
        for number, (line, is_bold) in enumerate(words):
            self.text((_MARGIN, 30 + _BANNER + 92 + _LINE * number), line, 18, is_bold=is_bold)

    def scale(self, explained: ExplainedClip, place: _Place) -> None:
        """Draw the score, its threshold and those of normal recordings."""
        scale = score_scale(explained)
        bottom, limit, here = place.top + place.height, place.x(scale["threshold"]), place.x(scale["score"])
        self._draw.rectangle((place.left, place.top, limit, bottom), fill=_tint(self._colours, "normal", 0.24))
        self._draw.rectangle(
            (limit, place.top, place.left + place.width, bottom), fill=_tint(self._colours, "anomaly", 0.34)
        )
        for one in scale["normal"]:
            self._draw.line((place.x(one), place.top + 8, place.x(one), bottom), fill=self._colours["muted"])
        for start in range(place.top, bottom, 6):
            self._draw.line((limit, start, limit, start + 3), fill=self._colours["ink"], width=2)
        self._draw.rectangle((here - 4, place.top - 2, here + 3, bottom + 2), fill=self._colours["ink"])
        anchors = ["rb" if share > 0.5 else "lb" for share in (scale["score"], scale["threshold"])]
        self.text((here, place.top - 5), f"score {scale['score_words']}", 17, is_bold=True, anchor=anchors[0])
        below = (limit, bottom + 20)
        self.text(below, f"threshold {scale['threshold_words']}", 14, colour="muted", anchor=anchors[1])

    def deviations(self, explained: ExplainedClip, place: _Place) -> None:
        """Draw the map of deviations, with the anomalous regions and the shares of the bands."""
        scale, boxes = deviation_scale(explained), boxes_of(explained)
        title = "Anomalous regions" if boxes else "Compared with normal"
        limit = f"±{scale.high:.0f} deviations of normal frames" if is_signed(explained) else f"up to {scale.high:.0f}"
        words = f"blue below normal, red above, {limit}" if is_signed(explained) else f"error map, {limit}"
        self.map(explained, explained.explanation.deviations, scale, place, start=explained.start_seconds)
        self.text((place.left, place.top - 28), title, 17, is_bold=True)
        self.text((place.left + 220, place.top - 26), words, 14, colour="muted")
        for box in boxes:
            for span in box["spans"]:
                corners = (place.x(span["left"]), place.y(box["bottom"] + box["height"]) - 3)
                ends = (place.x(span["left"] + span["width"]), place.y(box["bottom"]) + 3)
                self._draw.rounded_rectangle((*corners, *ends), radius=4, outline="#111111", width=2)
        if explained.score.verdict == "anomalous":
            self._shares(explained, place)

    def map(
        self,
        explained: ExplainedClip,
        values: NDArray[np.floating[Any]],
        scale: Scale,
        place: _Place,
        start: float = 0.0,
    ) -> None:
        """Draw a map with its axes."""
        axis = frequency_axis(explained)
        picture = map_image(axis.drawn(shrink(values, MOST_COLUMNS)), **scale._asdict()).convert("RGB")
        size = (place.width, place.height)
        self._image.paste(picture.resize(size, Image.Resampling.BILINEAR), (place.left, place.top))
        for share, words in axis.ticks():
            self.text((place.left - 8, place.y(share)), words, 14, colour="muted", anchor="rm")
        for share, words in x_ticks(values.shape[1] * explained.frame_seconds, start=start):
            self.text((place.x(share), place.top + place.height + 6), words, 14, colour="muted", anchor="ma")

    def _shares(self, explained: ExplainedClip, place: _Place) -> None:
        edges, shares = frequency_axis(explained).edges, explained.explanation.bands
        widths = (_BARS - 4) * shares / max(float(shares.max()), 1e-300)
        left = place.left + place.width + 8
        for width, bottom, top in zip(widths, edges[:-1], edges[1:], strict=True):
            bar = (left, place.y(top), left + width, max(place.y(bottom) - 1, place.y(top)))
            self._draw.rectangle(bar, fill=self._colours["accent"])
        self.text((left, place.top - 6), "share of", 14, colour="muted", anchor="lb")
        self.text((left, place.top + place.height + 6), "the anomaly", 14, colour="muted")


def _font(size: int, *, is_bold: bool) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Font of the system that has many letters; else the one that Pillow brings, which has the Latin ones."""
    for name in _FONTS[is_bold]:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _tint(colours: dict[str, str], name: str, share: float) -> tuple[int, ...]:
    """Mix a colour with that of the paper."""
    pairs = zip(bytes.fromhex(colours[name][1:]), bytes.fromhex(colours["paper"][1:]), strict=True)
    return tuple(round(share * one + (1 - share) * paper) for one, paper in pairs)
