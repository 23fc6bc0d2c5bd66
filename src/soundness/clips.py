"""What is known of a recording without listening to it: the DCASE metadata in its name."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["DOMAINS", "Clip", "Domain", "Label", "NameParts", "Split", "SupplementalKind", "parse_name"]

Domain = Literal["source", "target"]
Label = Literal["normal", "anomaly"]
Split = Literal["train", "test", "supplemental"]
SupplementalKind = Literal["machine", "noise"]

DOMAINS: tuple[Domain, ...] = ("source", "target")


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording and what its place and name say of it.

    Parameters
    ----------
    path
        The audio file.
    machine_type
        The machine's name, such as ``fan``.
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
