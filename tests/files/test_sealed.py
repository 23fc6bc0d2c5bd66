"""A sealed file gives back its content; one that is not intact, or of another kind or format, is refused."""

import sys

import numpy as np
import pytest

from soundness.errors import BundleError
from soundness.files.sealed import FORMATS, check_format, check_kind, read_sealed, write_sealed
from soundness.files.stored_values import arrays_below

ABOUT = {"machine": "fan", "levels": [1.5, None], "name": "a\nb"}


@pytest.fixture
def sealed(tmp_path):
    arrays = {"scorer.bank": np.arange(6.0).reshape(2, 3).T, "scorer.counts": np.array([3, 1]), "other": np.zeros(0)}
    write_sealed(tmp_path / "x.soundness", kind="detector", about=ABOUT, arrays=arrays)
    return tmp_path / "x.soundness", arrays


def test_values_and_arrays_come_back(sealed):
    path, arrays = sealed
    about, found = read_sealed(path, kind="detector")
    assert about == ABOUT
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


def test_arrays_are_found_below_a_prefix_and_not_beside_it(sealed):
    found = arrays_below("scorer", sealed[1])
    assert found.keys() == {"bank", "counts"}
    assert arrays_below("score", sealed[1]) == {}


def test_a_file_of_another_kind_is_named_and_not_opened_further(sealed):
    check_kind(sealed[0], "detector")
    sealed[0].write_bytes(sealed[0].read_bytes()[:100])  # cut, which does not matter where it is to be replaced
    check_kind(sealed[0], "detector")
    with pytest.raises(BundleError, match=r"x\.soundness: holds a detector; expected a separator"):
        check_kind(sealed[0], "separator")
    with pytest.raises(BundleError, match=r"none: cannot be read: .*; expected a detector"):
        check_kind(sealed[0].with_name("none"), "detector")


@pytest.mark.parametrize(("position", "message"), [(-1, "altered since it was written"), (0, "not a detector")])
def test_one_altered_byte_is_noticed(sealed, position, message):
    content = bytearray(sealed[0].read_bytes())
    content[position] ^= 1
    sealed[0].write_bytes(content)
    with pytest.raises(BundleError, match=message):
        read_sealed(sealed[0], kind="detector")


def test_a_file_that_was_cut_says_how_much_is_there(sealed):
    sealed[0].write_bytes(sealed[0].read_bytes()[:-7])
    with pytest.raises(BundleError, match=r"cut short: [\d,]+ bytes of [\d,]+ are there"):
        read_sealed(sealed[0], kind="detector")


@pytest.mark.parametrize(("step", "remedy"), [(-1, "train it anew"), (1, "a newer one reads it")])
def test_another_format_is_refused_with_the_remedy(step, remedy):
    with pytest.raises(BundleError, match=f"fan: format .*: {remedy}"):
        check_format("detector", FORMATS["detector"] + step, file="fan:")


@pytest.mark.skipif(sys.platform == "win32", reason="a file with holes takes all of the disk")
@pytest.mark.parametrize("first", [b"", b"soundness detector 9 1099511627000 " + b"0" * 64 + b"\n"])
def test_a_file_of_a_tebibyte_is_refused_unread(tmp_path, first):
    with (tmp_path / "a.soundness").open("wb") as file:
        file.write(first)
        file.truncate(1 << 40)
    with pytest.raises(BundleError, match=r"a\.soundness: (not a detector|cut short|1,099,\d+,\d+,\d+ bytes, more)"):
        read_sealed(tmp_path / "a.soundness", kind="detector")
