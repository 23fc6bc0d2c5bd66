"""Suffixes of the formats that are read, and of those that are not."""

import subprocess
import sys
from pathlib import Path

from soundness.audio.formats import AUDIO_SUFFIXES, KNOWN_SUFFIXES, MEDIA_SUFFIXES, UNREAD_SUFFIXES, unread_recordings
from soundness.extras import install_command

WITHOUT_PYAV = """
import sys
sys.modules["av"] = None
from pathlib import Path
from soundness.audio.formats import AUDIO_SUFFIXES, UNREAD_SUFFIXES, unread_recordings
assert ".m4a" not in AUDIO_SUFFIXES and ".m4a" in UNREAD_SUFFIXES and ".wav" in AUDIO_SUFFIXES
print(unread_recordings(map(Path, ["a.m4a", "b.M4A", "c.wma", "d.wav", "e.txt", "f"])))
print(unread_recordings([Path("a.aac")]))
"""


def test_common_formats_are_read_and_data_without_a_header_is_not():
    assert {".wav", ".bwf", ".flac", ".ogg", ".mp3", ".aiff", ".w64", ".caf", ".au"} <= AUDIO_SUFFIXES
    assert KNOWN_SUFFIXES >= AUDIO_SUFFIXES
    assert KNOWN_SUFFIXES == AUDIO_SUFFIXES | UNREAD_SUFFIXES
    assert {".m4a", ".aac", ".wma", ".webm", ".mp4", ".mkv", ".amr", ".3gp"} <= MEDIA_SUFFIXES
    assert not KNOWN_SUFFIXES & {".csv", ".txt", ""}
    assert {".raw", ".pcm"} <= UNREAD_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in KNOWN_SUFFIXES)


def test_recordings_that_cannot_be_read_are_counted_by_suffix_and_the_extra_is_named():
    done = subprocess.run([sys.executable, "-c", WITHOUT_PYAV], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "3 files look like recordings that cannot be read here (2 .m4a, 1 .wma); "
        f"to read them: {install_command('media')}",
        f"1 file looks like a recording that cannot be read here (1 .aac); to read them: {install_command('media')}",
    ]
    assert unread_recordings([Path("a.wav"), Path("notes.txt")]) == ""
