"""A separator's file gives the same sound to the last bit, or is refused in one line that names it."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resealed import rewritten
from soundness.errors import BundleError
from soundness.separation.saving import load_separator, save_separator

SAME_FOLDER = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def copied_separator(separator_file, tmp_path):
    return Path(shutil.copy(separator_file, tmp_path / "s.soundness"))


def noise(seed, n_samples):
    return (0.1 * np.random.default_rng(seed).standard_normal((1, n_samples))).astype(np.float32)


def test_a_reloaded_separator_gives_the_same_sound_to_the_last_bit(separator, tmp_path):
    save_separator(separator, tmp_path / "a.soundness")
    after = load_separator(tmp_path / "a.soundness")
    for seed in range(3):
        clip = noise(seed, 3_000 + 2_000 * seed)
        assert np.array_equal(after.separate(clip), separator.separate(clip))
    assert after.settings == separator.settings
    assert after.summary == separator.summary
    assert after.fingerprint == separator.fingerprint
    save_separator(after, tmp_path / "b.soundness")
    assert (tmp_path / "a.soundness").read_bytes() == (tmp_path / "b.soundness").read_bytes()


@SAME_FOLDER
@given(st.data())
def test_a_separators_file_with_one_byte_altered_anywhere_is_refused(copied_separator, data):
    content = bytearray(copied_separator.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1) | st.integers(0, 200))
    content[position] ^= data.draw(st.integers(1, 255))
    altered = copied_separator.with_name("altered.soundness")
    altered.write_bytes(content)
    with pytest.raises(BundleError, match=f"^{re.escape(str(altered))}: ") as caught:
        load_separator(altered)
    assert "\n" not in str(caught.value)


@SAME_FOLDER
@given(st.data())
def test_a_separators_file_cut_short_anywhere_is_refused(copied_separator, data):
    content = copied_separator.read_bytes()
    cut = copied_separator.with_name("cut.soundness")
    cut.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(BundleError, match=r"cut short|not a separator"):
        load_separator(cut)


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (("settings", "size"), "dreams", r"settings do not fit this version of soundness: .*size"),
        (("settings", "size"), "gpu", r"array masker\.\S+: \S+ of shape \(.*\) is expected; \S+ of \(.*\) came"),
        (("settings", "n_fft"), 512, r"array masker\.\S+: \S+ of shape \(.*\) is expected; \S+ of \(.*\) came"),
        (("settings", "dreams"), 1, r"settings do not fit this version of soundness: .*dreams"),
        (("summary", "seed"), "dreams", r"summary\.seed: .*'dreams' came"),
    ],
)
def test_a_separator_that_does_not_fit_this_version_is_refused(copied_separator, keys, value, said):
    def change(about):
        about[keys[0]][keys[1]] = value

    rewritten(copied_separator, change, kind="separator")
    with pytest.raises(BundleError, match=said) as caught:
        load_separator(copied_separator)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["settings", "summary"])
def test_a_separators_file_that_lacks_a_part_is_refused(copied_separator, key):
    rewritten(copied_separator, lambda about: about.pop(key), kind="separator")
    with pytest.raises(BundleError, match=key):
        load_separator(copied_separator)
