"""Errors keep the file that they are about and the reason apart."""

from pathlib import Path

import pytest

from soundness.errors import AudioError, DataError


@pytest.mark.parametrize("kind", [DataError, AudioError])
def test_a_path_is_added_once(kind):
    error = kind("0 samples")
    assert (str(error), error.reason, error.path) == ("0 samples", "0 samples", None)
    named = error.at(Path("a.wav"))
    assert type(named) is kind
    assert (str(named), named.reason, named.path) == ("a.wav: 0 samples", "0 samples", Path("a.wav"))
    assert named.at(Path("b.wav")) is named
