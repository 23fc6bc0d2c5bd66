"""Names of folders and files: their order, and what they say about the recordings below."""

import re
from pathlib import PurePath

from soundness.plain_text import shown_name

__all__ = [
    "ANOMALOUS_FOLDERS",
    "NORMAL_FOLDERS",
    "is_clutter",
    "is_time_folder",
    "machine_folder",
    "natural_key",
    "path_key",
    "plain_name",
    "state_name",
]

NORMAL_FOLDERS = (
    *("normal", "good", "ok", "okay", "healthy", "intact", "no_fault", "no_faults", "fault_free", "faultless"),
    *("io", "gut", "intakt", "in_ordnung"),
)
"""Names of folders of normal clips, in lower case."""

ANOMALOUS_FOLDERS = (
    *("abnormal", "anomaly", "anomalous", "anomalies", "faulty", "fault", "faults", "defective", "defect", "defects"),
    *("bad", "broken", "damaged", "failure", "failures", "failing", "nok", "not_ok", "ng", "unhealthy"),
    *("imbalance", "unbalance", "misalignment", "looseness", "leak", "leakage", "leaking"),
    *("nio", "defekt", "fehler", "fehlerhaft", "schlecht", "kaputt", "unwucht"),
)
"""Names of folders of anomalous clips, in lower case."""

_FAULTS = frozenset(
    {"abnormal", "anomalous", "anomaly", "broken", "damaged", "defect", "defective", "fault", "faults", "faulty"}
)
_NOT = frozenset({"free", "no", "non", "not", "ohne", "without"})

_CLUTTER = frozenset(
    {
        *("$recycle.bin", "recycler", "recycled", "#recycle", "@recycle", "trash", "found.000"),
        *("system volume information", "@eadir", "#snapshot", "@recently-snapshot", "thumbnails"),
    }
)

_MONTHS = (
    "jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|july?|juli|aug(?:ust)?|"
    "sept?(?:ember)?|oct(?:ober)?|okt(?:ober)?|nov(?:ember)?|dec(?:ember)?|dez(?:ember)?"
)
_DAYS = (
    "monday|tuesday|wednesday|thursday|friday|saturday|sunday|"
    "montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag"
)
_YEAR, _MONTH, _DAY = r"(?:199\d|20[0-3]\d)", r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
_CLOCK = r"(?:[\sT_-]*\d{1,2}(?:[-_.:h]?\d{2}){0,2}(?:[.,]\d+)?Z?)?"
_TIME_NAME = re.compile(
    rf"""
      20(?:1[5-9]|2\d|3[0-5])                                 # 2024; machines may have numbers, too
    | {_YEAR} [-_.] {_MONTH} (?:[-_.] {_DAY} {_CLOCK})?       # 2024-03, 2024-03-01, 2024-03-01_1200
    | {_YEAR} (?:0[1-9]|1[0-2]) (?:0[1-9]|[12]\d|3[01]) {_CLOCK}  # 20240301_1200
    | {_YEAR} [-_ ]? (?:w|kw|cw|q) [-_ ]? \d{{1,2}}           # 2024-W09
    | {_DAY} [-_.] {_MONTH} [-_.] (?:\d\d)?\d\d {_CLOCK}      # 01.03.2024
    | \d\d (?:0[1-9]|1[0-2]) (?:0[1-9]|[12]\d|3[01])          # 240301
    | (?:day|date|week|month|hour|tag|woche|monat|kw|cw) [-_ ]? \d+
    | (?:\d{{1,4}}[-_ ]?)? (?:{_MONTHS}) (?:[-_ ]?\d{{1,4}}){{0,2}}
    | {_DAYS}
    """,
    re.VERBOSE | re.IGNORECASE,
)


def natural_key(name: str) -> tuple[tuple[tuple[int, str], ...], str]:
    """Key that orders names with their numbers as numbers: ``rec_2`` before ``rec_10``.

    >>> sorted(["rec_10.wav", "rec_9.wav", "rec_09.wav"], key=natural_key)
    ['rec_09.wav', 'rec_9.wav', 'rec_10.wav']
    """
    parts = re.split("([0-9]+)", name)
    return tuple((int(part), "") if index % 2 else (-1, part) for index, part in enumerate(parts)), name


def path_key(path: PurePath) -> tuple[tuple[tuple[tuple[int, str], ...], str], ...]:
    """Key that orders paths folder by folder, as `natural_key` orders names."""
    return tuple(map(natural_key, path.parts))


def plain_name(name: str) -> str:
    """Name of a folder in lower case, with ``_`` for a blank or a hyphen."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def state_name(name: str) -> str:
    """Name of `NORMAL_FOLDERS` or `ANOMALOUS_FOLDERS` that a folder's name is a form of; else its `plain_name`.

    >>> state_name("Fault_01"), state_name("Bearing fault"), state_name("n.i.O."), state_name("Pump 3")
    ('fault', 'abnormal', 'nio', 'pump_3')
    """
    plain = plain_name(name)
    words = [stripped for word in plain.replace(".", "").split("_") if (stripped := word.rstrip("0123456789"))]
    if (joined := "_".join(words)) in (*NORMAL_FOLDERS, *ANOMALOUS_FOLDERS):
        return joined
    return "abnormal" if _FAULTS.intersection(words) and not _NOT.intersection(words) else plain


def is_clutter(name: str) -> bool:
    """True for hidden files and folders, recycle bins, thumbnails and what archives of macOS hold beside files."""
    return name.startswith((".", "__MACOSX", "~$")) or name.lower() in _CLUTTER


def is_time_folder(name: str, *, is_below_one: bool = False) -> bool:
    """True for a folder that is named after a time, such as a day, and so holds no machine of its own.

    Parameters
    ----------
    name
        ``2024-03-01``, ``20240301_1200``, ``2024``, ``KW09``, ``day1``, ``March``.
    is_below_one
        True if the folder above is one: then ``03`` is a month or a day, and otherwise perhaps a machine's number.
    """
    if is_below_one and re.fullmatch(r"\d{1,2}(?:[-_.:h]?\d{2}){0,2}h?", name):
        return True
    return _TIME_NAME.fullmatch(name.strip()) is not None


def machine_folder(relative: PurePath) -> str:
    """Machine of a recording by the folders that it lies in, without those that are named after a time.

    Parameters
    ----------
    relative
        Path of the recording below the folder that was named.

    Returns
    -------
    str
        ``pump1`` for ``pump1/2024-03-01/x.wav``, ``hall/pump1`` for ``hall/pump1/x.wav``; empty for ``x.wav``.
    """
    kept: list[str] = []
    is_below_one = False
    for name in relative.parts[:-1]:
        is_below_one = is_time_folder(name, is_below_one=is_below_one)
        if not is_below_one:
            kept.append(shown_name(name))
    return "/".join(kept)
