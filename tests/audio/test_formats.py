"""Suffixes of files that are taken for recordings."""

from soundness.audio.formats import AUDIO_SUFFIXES, KNOWN_SUFFIXES


def test_suffixes_are_of_recordings_only() -> None:
    assert {".wav", ".flac", ".ogg", ".mp3", ".aiff", ".w64", ".caf", ".au"} <= AUDIO_SUFFIXES
    assert KNOWN_SUFFIXES >= AUDIO_SUFFIXES
    assert not AUDIO_SUFFIXES & {".raw", ".mat", ".csv", ".txt", ""}
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in AUDIO_SUFFIXES)
