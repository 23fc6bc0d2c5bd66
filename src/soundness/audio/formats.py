"""Formats of recordings and their suffixes."""

import soundfile  # type: ignore[import-untyped]  # it ships no types

__all__ = ["AUDIO_SUFFIXES", "KNOWN_SUFFIXES", "SUFFIXES_OF_FORMAT"]

# Left out: header-less data, and .mat, which is mostly no audio.
SUFFIXES_OF_FORMAT: dict[str, tuple[str, ...]] = {
    "AIFF": (".aif", ".aifc", ".aiff"),
    "AU": (".au", ".snd"),
    "AVR": (".avr",),
    "CAF": (".caf",),
    "FLAC": (".flac",),
    "IRCAM": (".sf",),
    "MP3": (".mp3",),
    "NIST": (".nist", ".sph"),
    "OGG": (".oga", ".ogg", ".opus"),
    "RF64": (".rf64",),
    "SVX": (".8svx", ".iff", ".svx"),
    "VOC": (".voc",),
    "W64": (".w64",),
    "WAV": (".wav", ".wave"),
}
"""Suffixes of each format of libsndfile that holds recordings, in lower case with their dot."""

KNOWN_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES_OF_FORMAT.values() for suffix in suffixes)
"""Suffixes of all these formats."""

AUDIO_SUFFIXES: frozenset[str] = frozenset(
    suffix for name in soundfile.available_formats() for suffix in SUFFIXES_OF_FORMAT.get(name, ())
)
"""Suffixes of the formats that the installed libsndfile reads: files that are taken for recordings."""
