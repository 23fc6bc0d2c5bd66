"""Formats of recordings and their suffixes."""

import re
from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import soundfile  # type: ignore[import-untyped]  # it ships no types

from soundness.extras import install_command

__all__ = [
    "AUDIO_SUFFIXES",
    "KNOWN_SUFFIXES",
    "MEDIA_SUFFIXES",
    "SUFFIXES_OF_FORMAT",
    "TABLE_SUFFIXES",
    "TEXT_SUFFIXES",
    "UNREAD_SUFFIXES",
    "coding_of",
    "unread_recordings",
]

# Left out: header-less data, and .mat, which is mostly no audio.
SUFFIXES_OF_FORMAT: dict[str, tuple[str, ...]] = {
    "AIFF": (".aif", ".aifc", ".aiff"),
    "AU": (".au", ".snd"),
    "AVR": (".avr",),
    "CAF": (".caf",),
    "FLAC": (".flac",),
    "IRCAM": (".sf",),
    "MP3": (".mp2", ".mp3"),
    "NIST": (".nist", ".sph"),
    "OGG": (".oga", ".ogg", ".opus"),
    "RF64": (".bw64", ".rf64"),
    "SVX": (".8svx", ".iff", ".svx"),
    "VOC": (".voc",),
    "W64": (".w64",),
    "WAV": (".bwf", ".wav", ".wave"),
}
"""Suffixes of each format of libsndfile that holds recordings, in lower case with their dot."""

MEDIA_SUFFIXES = frozenset(
    {".3g2", ".3gp", ".aac", ".amr", ".ape", ".asf", ".avi", ".awb", ".m4a", ".m4b", ".m4v", ".mka", ".mkv"}
    | {".mov", ".mp4", ".spx", ".tta", ".weba", ".webm", ".wma", ".wmv", ".wv"}
)
"""Suffixes of formats that PyAV (FFmpeg) reads and libsndfile does not: of telephones, cameras and browsers."""

_OTHER_SUFFIXES = frozenset(
    {".alac", ".dff", ".ds2", ".dsf", ".dss", ".dts", ".eac3", ".flv", ".gsm", ".m2ts", ".mpc", ".mpeg", ".mpg", ".mts"}
    | {".ogv", ".pcm", ".ra", ".raw", ".rm", ".shn", ".tak", ".vox"}
)

TEXT_SUFFIXES = frozenset({".asc", ".csv", ".dat", ".tsv", ".txt"})
"""Suffixes of files of text, which are recordings if they hold numbers alone."""

TABLE_SUFFIXES: dict[str, str] = {
    **dict.fromkeys(sorted(TEXT_SUFFIXES), "numpy"),
    ".h5": "h5py",
    ".hdf5": "h5py",
    ".mat": "numpy",
    ".npy": "numpy",
    ".npz": "numpy",
    ".parquet": "pyarrow",
    ".tdms": "nptdms",
    ".uff": "pyuff",
    ".unv": "pyuff",
}
"""Suffixes of tables of numbers and the package that reads each."""

_OF_EXTRA = {
    "media": MEDIA_SUFFIXES,
    "formats": frozenset(suffix for suffix, name in TABLE_SUFFIXES.items() if name != "numpy"),
}

KNOWN_SUFFIXES = frozenset().union(MEDIA_SUFFIXES, _OTHER_SUFFIXES, TABLE_SUFFIXES, *SUFFIXES_OF_FORMAT.values()) - (
    TEXT_SUFFIXES
)
"""Suffixes of files that look like recordings."""

_HAS_PYAV = find_spec("av") is not None

AUDIO_SUFFIXES: frozenset[str] = frozenset().union(
    *(SUFFIXES_OF_FORMAT.get(name, ()) for name in soundfile.available_formats()),
    MEDIA_SUFFIXES if _HAS_PYAV else (),
    (suffix for suffix, name in TABLE_SUFFIXES.items() if suffix not in TEXT_SUFFIXES and find_spec(name) is not None),
)
"""Suffixes that are read here: those of the installed libsndfile, and of other packages where they are installed."""

UNREAD_SUFFIXES = KNOWN_SUFFIXES - AUDIO_SUFFIXES
"""Suffixes of files that look like recordings and cannot be read with the packages that are installed."""


_EXACT = re.compile(
    r"(?i)(pcm_([sf]?(16|24|32|64)|f\d\d|[su]\d\d).*|float|double|(dwvw|alac)_(16|20|24|32)|alac|flac|ape|tta|wavpack)"
)

_NAMES_OF_CODINGS = {
    "pcm_s8": "8-bit",
    "pcm_u8": "8-bit",
    "pcm_s8_planar": "8-bit",
    "ulaw": "µ-law",
    "pcm_mulaw": "µ-law",
    "alaw": "A-law",
    "pcm_alaw": "A-law",
    "mpeg_layer_iii": "MP3",
    "mp3float": "MP3",
    "mpeg_layer_ii": "MP2",
    "mp2float": "MP2",
    "aac": "AAC",
    "wmav1": "WMA",
    "wmav2": "WMA",
    "vorbis": "Vorbis",
    "opus": "Opus",
    "libopus": "Opus",
}


def coding_of(name: str) -> str:
    """Coding that changes the sound in words; empty for samples of 16 bits or more, compressed without loss or not.

    Parameters
    ----------
    name
        Coding as libsndfile or FFmpeg names it.
    """
    if _EXACT.fullmatch(name):
        return ""
    return _NAMES_OF_CODINGS.get(name.lower(), name.replace("_", " "))


def unread_recordings(paths: Iterable[Path]) -> str:
    """One line on the files that look like recordings and cannot be read here; empty if there are none.

    Parameters
    ----------
    paths
        Any files; those with a suffix of `UNREAD_SUFFIXES` are counted.
    """
    counts = Counter(suffix for path in paths if (suffix := path.suffix.lower()) in UNREAD_SUFFIXES)
    if not counts:
        return ""
    n_files = counts.total()
    files = "1 file looks like a recording" if n_files == 1 else f"{n_files:,} files look like recordings"
    listed = ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(counts.items()))
    extras = [extra for extra, suffixes in _OF_EXTRA.items() if suffixes & counts.keys()]
    is_readable = counts.keys() <= MEDIA_SUFFIXES | TABLE_SUFFIXES.keys()
    remedy = f"to read them: {install_command(*extras)}" if is_readable else "convert them to WAV"
    return f"{files} that cannot be read here ({listed}); {remedy}"
