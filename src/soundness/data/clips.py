"""What is known of a recording without listening: what its name and ``attributes_*.csv`` say."""

import csv
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from soundness.audio.formats import KNOWN_SUFFIXES
from soundness.errors import DataError

__all__ = [
    "DOMAINS",
    "Clip",
    "Condition",
    "Domain",
    "Label",
    "NameParts",
    "Split",
    "SupplementalKind",
    "clip_key",
    "condition_of",
    "describe_clip",
    "parse_name",
    "read_attributes",
    "supplemental_kind",
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


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording and what its place and name say of it.

    Parameters
    ----------
    path
        The audio file.
    machine_type
        The machine's name, such as ``fan``; ``""`` where a recording was given without its machine.
    split
        ``train``, ``test`` or ``supplemental``.
    section
        The token that tells sections or machine ids apart: ``section_00``, ``id_02``.
    domain
        The DCASE domain; ``None`` where the data have none, or hide it.
    label
        ``None`` where it is hidden. Nothing that produces a score may read it of a test clip.
    attributes
        The whole attribute string, such as ``car_A1_spd_28V``; ``""`` where there is none or it is hidden.
    supplemental
        Clean machine sound or noise alone; ``None`` for all other clips, or where the name does not tell.
    """

    path: Path
    machine_type: str
    split: Split
    section: str = "section_00"
    domain: Domain | None = None
    label: Label | None = None
    attributes: str = ""
    supplemental: SupplementalKind | None = None


@dataclass(frozen=True, slots=True)
class NameParts:
    """What a DCASE file name says; ``None`` or ``""`` for what it does not say. See `Clip` for the fields."""

    section: str
    split: Split | None
    domain: Domain | None
    label: Label | None
    attributes: str
    supplemental: SupplementalKind | None


def clip_key(file_name: str) -> str:
    r"""What tells a machine's clips apart and joins tables to them: the name without folder and suffix.

    Parameters
    ----------
    file_name
        ``fan/train/x.wav``, ``fan\train\x.wav``, ``x.wav`` or ``x``. A name without suffix may hold dots, as in
        ``..._ac_0.11``: only the suffix of a recording is cut off.
    """
    path = PurePosixPath(file_name.replace("\\", "/"))
    return path.stem if path.suffix.lower() in KNOWN_SUFFIXES else path.name


def parse_name(stem: str) -> NameParts | None:
    """What a file name of the challenge says, of any year from 2020 to 2026.

    Parameters
    ----------
    stem
        The file's name without folder and suffix, such as ``section_00_source_train_normal_0003_vel_6``.

    Returns
    -------
    NameParts or None
        ``None`` where this is no name of the challenge, or one that contradicts itself.
    """
    if (match := _ID_NAME.fullmatch(stem)) is not None:
        return NameParts(match["section"], None, None, _label({match["label"]}), "", None)
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
    path: Path,
    *,
    machine_type: str,
    split: Split,
    domain: Domain | None = None,
    label: Label | None = None,
) -> Clip:
    """A clip from its place and its name; the name has precedence where it is one of the challenge.

    Parameters
    ----------
    path
        The audio file.
    machine_type, split
        What its place says; see `Clip`.
    domain, label
        What its place says, used where the name says nothing.
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
    """Whether a supplemental clip's name calls it the machine alone or noise alone.

    Parameters
    ----------
    stem
        Any file name without folder and suffix. In a name of the challenge, what stands before the number
        decides where it tells; otherwise the word may stand anywhere, and upper case does not matter.

    Returns
    -------
    {"machine", "noise"} or None
        ``None`` where the name holds neither word, or both.
    """
    match = _SECTION_NAME.fullmatch(stem)
    heads = [] if match is None else [match["words"]]
    for text in (*heads, stem):
        words = set(re.split("[^a-z]+", text.lower()))
        if ("machine" in words) != ("noise" in words):
            return "machine" if "machine" in words else "noise"
    return None


def read_attributes(path: Path) -> dict[str, str]:
    """Read the attribute strings of an ``attributes_*.csv``.

    Parameters
    ----------
    path
        A table with the columns ``file_name,d1p,d1v,d2p,d2v...``; all but the first may be missing.

    Returns
    -------
    dict
        By file name as written, parameters and values joined: ``d1p_d1v_d2p_d2v``; ``""`` where none are.

    Raises
    ------
    DataError
        The file cannot be read, or has no column ``file_name``.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            table = csv.DictReader(file)
            if "file_name" not in (table.fieldnames or ()):
                raise DataError("no column file_name; expected file_name,d1p,d1v,...", path=path)
            rows = list(table)
    except (OSError, csv.Error) as error:
        raise DataError(f"attributes cannot be read ({error})", path=path) from error
    return {row["file_name"].strip(): _joined(row) for row in rows if row["file_name"]}


def _joined(row: Mapping[str, str | None]) -> str:
    values = (value or "" for name, value in row.items() if re.fullmatch(r"d\d+[pv]", name or ""))
    return "_".join(value.strip() for value in values if value.strip() not in ("", _NO_ATTRIBUTE))


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


@dataclass(frozen=True, order=True, slots=True)
class Condition:
    """What is known of how a training clip was recorded; ``""`` for what is not."""

    machine_type: str
    domain: str
    section: str
    attributes: str

    def __str__(self) -> str:
        known = (self.domain, "" if self.section == "section_00" else self.section, self.attributes)
        return " ".join(part for part in known if part) or "unknown"


def condition_of(clip: Clip) -> Condition:
    """Condition of a training clip; a test clip's is never asked for."""
    return Condition(clip.machine_type, clip.domain or "", clip.section, clip.attributes)
