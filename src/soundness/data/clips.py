"""Clips: a recording with the machine, domain, label and attributes that its name and tables state."""

import csv
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Literal

from soundness.audio.formats import KNOWN_SUFFIXES
from soundness.audio.windows import is_long, n_consecutive
from soundness.data.csv_tables import read_rows
from soundness.errors import DataError
from soundness.plain_text import printable

__all__ = [
    "DOMAINS",
    "Clip",
    "Condition",
    "Domain",
    "Label",
    "NameParts",
    "Part",
    "Split",
    "SupplementalKind",
    "by_recording",
    "clip_key",
    "clip_keys",
    "clock",
    "condition_of",
    "cut_clip",
    "describe_clip",
    "known_keys",
    "parse_name",
    "read_attributes",
    "start_of_part",
    "supplemental_kind",
    "without_part",
]

Domain = Literal["source", "target"]
Label = Literal["normal", "anomaly"]
Split = Literal["train", "test", "supplemental"]
SupplementalKind = Literal["machine", "noise"]

DOMAINS: tuple[Domain, ...] = ("source", "target")


# 2020: [label_]id_MM_NNNNNNNN
_ID_NAME = re.compile(r"(?:(?P<label>normal|anomaly)_)?(?P<section>id_\d+)_\d+")

# 2021 and later: section_SS[_word...]_NNNN[_attributes]. The words come in several orders, and any may be
# missing: the truth of 2024 RoboticArm lacks "test", blind clips lack all, supplemental clips add a kind.
_WORDS = r"source|target|train|test|supplemental|normal|anomaly|machine|noise"
_SECTION_NAME = re.compile(
    rf"(?P<section>section_\d+)(?P<words>(?:_(?:{_WORDS}))*)_\d+(?:_(?P<attributes>.*))?", re.DOTALL
)

_NO_ATTRIBUTE = "noAttribute"


@dataclass(frozen=True, order=True, slots=True, kw_only=True)
class Part:
    """Part of a recording that is a clip of its own: its start, and its length."""

    start_seconds: float
    seconds: float

    def __str__(self) -> str:
        return f"@ {clock(self.start_seconds)}"


def clock(seconds: float) -> str:
    """Time within a recording: ``04:10``, ``1:04:10``, or ``00:06.4``."""
    minutes, rest = divmod(round(seconds, 2), 60)
    hours, minutes = divmod(int(minutes), 60)
    whole, _, digits = f"{rest:05.2f}".partition(".")
    shown = f"{minutes:02d}:{whole}" + (f".{digits.rstrip('0')}" if digits.strip("0") else "")
    return f"{hours}:{shown}" if hours else shown


def cut_clip(clip: "Clip", *, seconds: float, clip_seconds: float) -> "list[Clip]":
    """Clips, one after the other, of a recording that is more than 1.5 of them long; else the clip alone.

    Parameters
    ----------
    clip
        The recording.
    seconds
        Its length.
    clip_seconds
        Length of a clip.
    """
    if clip.part is not None or not is_long(seconds, clip_seconds):
        return [clip]
    starts = (index * clip_seconds for index in range(n_consecutive(seconds, clip_seconds)))
    return [replace(clip, part=Part(start_seconds=start, seconds=clip_seconds)) for start in starts]


def by_recording(clips: "Sequence[Clip]") -> "list[list[Clip]]":
    """Clips by their recording, the parts of one together, in their order."""
    return [list(own) for _, own in groupby(clips, key=lambda clip: (clip.path, clip.part is None))]


_PART_OF_NAME = re.compile(r" @ (?:(\d+):)?(\d\d):(\d\d(?:\.\d+)?)$")


def start_of_part(name: str) -> float | None:
    """Start in seconds of the part of a recording that a name ends with, as in ``a.wav @ 04:10``; ``None`` without."""
    found = _PART_OF_NAME.search(name)
    return None if found is None else 3600 * int(found[1] or 0) + 60 * int(found[2]) + float(found[3])


def without_part(name: str) -> str:
    """Name without the part of a recording at its end."""
    return _PART_OF_NAME.sub("", name)


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording with the metadata of its folder and name.

    Parameters
    ----------
    path
        The audio file.
    machine_type
        The machine's name, such as ``fan``; ``""`` if it is not known.
    split
        ``train``, ``test`` or ``supplemental``.
    section
        Section or machine id: ``section_00``, ``id_02``.
    domain
        The DCASE domain; ``None`` if there is none, or it is hidden.
    label
        ``None`` if it is hidden. Code that computes scores must not read it of a test clip.
    attributes
        The attribute string, such as ``car_A1_spd_28V``; ``""`` if there is none or it is hidden.
    supplemental
        Clean machine sound or noise alone; ``None`` for all other clips, or if the name states neither.
    key
        Path below the folder that was named, with ``/`` between its parts, by which recordings of one name are told
        apart; the name alone if the recording itself was named.
    part
        Part of the recording that the clip is; ``None`` for all of it.
    """

    path: Path
    machine_type: str
    split: Split
    section: str = "section_00"
    domain: Domain | None = None
    label: Label | None = None
    attributes: str = ""
    supplemental: SupplementalKind | None = None
    part: Part | None = None
    key: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.key:
            object.__setattr__(self, "key", self.path.name)


@dataclass(frozen=True, order=True, slots=True)
class Condition:
    """Condition under which a training clip was recorded; ``""`` where it is not known."""

    machine_type: str
    domain: str
    section: str
    attributes: str

    def __str__(self) -> str:
        known = (self.domain, "" if self.section == "section_00" else self.section, self.attributes)
        return " ".join(part for part in known if part) or "unknown"


def condition_of(clip: Clip) -> Condition:
    """Condition of a training clip."""
    return Condition(clip.machine_type, clip.domain or "", clip.section, clip.attributes)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameParts:
    """Metadata in a DCASE file name; ``None`` or ``""`` where it has none. See `Clip` for the fields."""

    section: str
    split: Split | None = None
    domain: Domain | None = None
    label: Label | None = None
    attributes: str = ""
    supplemental: SupplementalKind | None = None


def clip_key(file_name: str) -> str:
    r"""Key of a clip among a machine's clips and in tables: the name without folder and suffix.

    Parameters
    ----------
    file_name
        ``fan/train/x.wav``, ``fan\train\x.wav``, ``x.wav`` or ``x``. Only the suffix of a recording is cut off, for a
        name without suffix may hold dots, as in ``..._ac_0.11``.
    """
    name = file_name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    stem, suffix = os.path.splitext(name)  # noqa: PTH122  # of many names, and a Path is slow to make
    return stem if suffix.lower() in KNOWN_SUFFIXES else name


def clip_keys(file_names: Iterable[str]) -> list[str]:
    """Keys of several clips: that of `clip_key` where it is a clip's own, else the path without the suffix."""
    names = list(file_names)
    keys = [clip_key(name) for name in names]
    counts = Counter(keys)
    return [key if counts[key] == 1 else _path_key(name) for name, key in zip(names, keys, strict=True)]


def known_keys(file_names: Iterable[str], known: Collection[str]) -> list[str]:
    """Keys of clips among known ones, by their names or by paths that end alike; those of `clip_keys` of the others."""
    names = list(file_names)
    return [
        next((found for each in (key, _path_key(name)) if (found := _same_key(each, known))), key)
        for name, key in zip(names, clip_keys(names), strict=True)
    ]


def _same_key(key: str, known: Collection[str]) -> str | None:
    if key in known or "/" not in key:
        return key if key in known else None
    found = [other for other in known if key.endswith(f"/{other}") or other.endswith(f"/{key}")]
    return found[0] if len(found) == 1 else None


def _path_key(name: str) -> str:
    return (PurePosixPath(name.replace("\\", "/")).parent / clip_key(name)).as_posix()


def parse_name(stem: str) -> NameParts | None:
    """Parse a file name of the challenge, of any year from 2020 to 2026.

    ``stem`` has neither folder nor suffix, as ``section_00_source_train_normal_0003_vel_6``. ``None`` is returned if it
    is no name of the challenge, or one that contradicts itself.
    """
    if (match := _ID_NAME.fullmatch(stem)) is not None:
        return NameParts(section=match["section"], label=_label({match["label"]}))
    if (match := _SECTION_NAME.fullmatch(stem)) is None:
        return None
    words = frozenset(match["words"].split("_"))
    if any(pair <= words for pair in ({"source", "target"}, {"normal", "anomaly"}, {"train", "test"})):
        return None
    split = _split(words)
    return NameParts(
        section=match["section"],
        split=split,
        domain=_domain(words),
        label=_label(words),
        attributes=_attributes(match["attributes"]),
        supplemental=supplemental_kind(stem) if split == "supplemental" else None,
    )


def describe_clip(
    path: Path, *, machine_type: str, split: Split, domain: Domain | None = None, label: Label | None = None
) -> Clip:
    """Make a clip from its folder and name; a name of the challenge has precedence.

    Parameters
    ----------
    path
        The audio file.
    machine_type, split
        Those of its folder; see `Clip`.
    domain, label
        Those of its folder, used where the name has none.
    """
    kind = supplemental_kind(path.stem) if split == "supplemental" else None
    if (name := parse_name(path.stem)) is None:
        return Clip(path, machine_type, split, domain=domain, label=label, supplemental=kind)
    return Clip(
        path=path,
        machine_type=machine_type,
        split=split,
        section=name.section,
        domain=domain if name.domain is None else name.domain,
        label=label if name.label is None else name.label,
        attributes=name.attributes,
        supplemental=kind,
    )


def supplemental_kind(stem: str) -> SupplementalKind | None:
    """Kind of a supplemental clip by its name without folder and suffix; ``None`` if it states neither or both.

    In a name of the challenge the words before the number decide; otherwise ``machine`` or ``noise`` may stand
    anywhere, in upper or lower case.
    """
    match = _SECTION_NAME.fullmatch(stem)
    heads = [] if match is None else [match["words"]]
    for text in (*heads, stem):
        words = set(re.split("[^a-z]+", text.lower()))
        if ("machine" in words) != ("noise" in words):
            return "machine" if "machine" in words else "noise"
    return None


def read_attributes(path: Path) -> dict[str, str]:
    """Read the attribute strings of an ``attributes_*.csv`` by file name: ``d1p_d1v_d2p_d2v``, or ``""``.

    Its columns are ``file_name,d1p,d1v,d2p,d2v...``, of which all but the first may be missing.

    Raises
    ------
    DataError
        If the file cannot be read, or has no column ``file_name``.
    """
    try:
        rows = [cells for _, cells in read_rows(path, fits=lambda cells: "file_name" in cells)]
    except (OSError, csv.Error) as error:
        raise DataError(f"attributes cannot be read ({error})", path=path) from error
    if not rows or "file_name" not in rows[0]:
        raise DataError("no column file_name; expected file_name,d1p,d1v,...", path=path)
    table = [dict(zip(rows[0], cells, strict=False)) for cells in rows[1:]]
    return {row["file_name"].strip(): _attribute_string(row) for row in table if row.get("file_name")}


def _attribute_string(row: Mapping[str, str]) -> str:
    values = (value for name, value in row.items() if re.fullmatch(r"d\d+[pv]", name))
    return "_".join(printable(value.strip()) for value in values if value.strip() not in ("", _NO_ATTRIBUTE))


def _domain(words: Collection[str]) -> Domain | None:
    return "source" if "source" in words else "target" if "target" in words else None


def _label(words: Collection[str | None]) -> Label | None:
    return "normal" if "normal" in words else "anomaly" if "anomaly" in words else None


def _split(words: frozenset[str]) -> Split | None:
    if "train" in words:
        return "train"
    if "test" in words:
        return "test"
    return "supplemental" if words & {"supplemental", "machine", "noise"} else None


def _attributes(text: str | None) -> str:
    attributes = "" if text is None else text.strip("_")
    return "" if attributes == _NO_ATTRIBUTE else attributes
