"""Errors keep the file that they are about and the reason apart."""

from pathlib import Path

import pytest

from soundness.errors import AudioError, DataError, UnreadableError, audio_errors_at


@pytest.mark.parametrize("kind", [DataError, AudioError, UnreadableError])
def test_a_path_is_added_once(kind):
    error = kind("0 samples")
    assert (str(error), error.reason, error.path) == ("0 samples", "0 samples", None)
    named = error.at(Path("a.wav"))
    assert type(named) is kind
    assert (str(named), named.reason, named.path) == ("a.wav: 0 samples", "0 samples", Path("a.wav"))
    assert named.at(Path("b.wav")) is named


def test_a_recording_is_named_where_its_error_has_no_path_yet():
    with pytest.raises(AudioError, match=r"^a\.wav: too loud$") as raised, audio_errors_at(Path("a.wav")):
        raise AudioError("too loud")
    assert raised.value.path == Path("a.wav")
    with pytest.raises(AudioError, match=r"^b\.wav: too loud$"), audio_errors_at(Path("a.wav")):
        raise AudioError("too loud", path=Path("b.wav"))


def test_the_cause_of_an_error_is_kept_where_its_recording_is_named():
    cause = OSError("no such device")
    with pytest.raises(AudioError) as raised, audio_errors_at(Path("a.wav")):
        raise AudioError("cannot be read") from cause
    assert raised.value.__cause__ is cause
