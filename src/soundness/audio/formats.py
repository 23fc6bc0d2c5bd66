"""Formats of recordings, and the suffixes they go by."""

__all__ = ["SUFFIXES_OF_FORMAT"]

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
"""The formats of libsndfile that hold recordings, with the suffixes they go by."""


_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES_OF_FORMAT.values() for suffix in suffixes)
