"""A detector's or a separator's file gives the same scores to the last bit, or is refused in one line that names it."""

import hashlib
import pickletools
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from resealed import rewritten, sealed, split
from soundness.detectors.saving import load, load_detector, save_detector
from soundness.errors import BundleError, OutputError
from soundness.files.sealed import FORMATS, SUFFIX
from soundness.separation.saving import load_separator
from soundness.settings.loading import system_names

SYSTEMS = system_names()
SAME_FOLDER = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def noise(seed, n_samples=6_000):
    return (0.1 * np.random.default_rng(seed).standard_normal((1, n_samples))).astype(np.float32)


@pytest.fixture
def saved(detectors, tmp_path):
    path = tmp_path / "fan.soundness"
    save_detector(detectors["conditional"], path)
    return path


def assert_refused(path, message=""):
    with pytest.raises(BundleError, match=f"^{re.escape(str(path))}: .*{message}") as caught:
        load_detector(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_reloaded_detector_gives_the_same_scores_to_the_last_bit(detectors, system, tmp_path):
    before = detectors[system]
    save_detector(before, tmp_path / "a.soundness")
    after = load_detector(tmp_path / "a.soundness")
    for seed in range(5):
        clip = noise(seed, 3_000 + 2_000 * seed)
        assert after.score(clip) == before.score(clip)
        assert np.array_equal(after.error_map(clip), before.error_map(clip))
    assert after.machine_type == before.machine_type
    assert after.settings == before.settings
    assert after.threshold == before.threshold
    assert after.summary == before.summary
    assert after.scorer.notes() == before.scorer.notes()


@pytest.mark.parametrize("system", SYSTEMS)
def test_saving_what_was_loaded_gives_the_same_file(detectors, system, tmp_path):
    save_detector(detectors[system], tmp_path / "a.soundness")
    save_detector(load_detector(tmp_path / "a.soundness"), tmp_path / "b.soundness")
    assert (tmp_path / "a.soundness").read_bytes() == (tmp_path / "b.soundness").read_bytes()


def test_the_first_line_says_what_the_file_is_and_the_rest_is_safetensors(saved):
    first_line, payload, about = split(saved.read_bytes())
    digest = hashlib.sha256(payload).hexdigest()
    assert first_line.decode() == f"soundness detector {FORMATS['detector']} {len(payload)} {digest}"
    assert about["machine_type"] == "fan"
    assert about["settings"]["log_mel"]["n_mels"] == 16
    arrays = load_arrays(payload)
    assert {"scorer.own", "scorer.left_out", "representation.mean"} <= arrays.keys()


def test_nothing_in_the_file_is_a_pickle(saved):
    content = saved.read_bytes()
    for start in [0, content.index(b"\n") + 1, *(match.start() for match in re.finditer(rb"\x80[\x02-\x05]", content))]:
        with pytest.raises(ValueError, match=r"."):
            list(pickletools.genops(content[start:]))


def test_no_partial_file_is_left(saved):
    assert [path.name for path in saved.parent.iterdir()] == ["fan.soundness"]


def test_saving_replaces_an_earlier_file_and_makes_its_folder(detectors, tmp_path):
    path = tmp_path / "new" / "deeper" / "fan.soundness"
    for system in ("conditional", "log-mel-knn"):
        save_detector(detectors[system], path)
        assert load_detector(path).settings == detectors[system].settings


def test_a_place_that_cannot_be_written_is_named(detectors, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=re.escape(f"{tmp_path / 'file' / 'fan.soundness'}: cannot be written")):
        save_detector(detectors["log-mel-knn"], tmp_path / "file" / "fan.soundness")


@SAME_FOLDER
@given(st.data())
def test_a_file_cut_short_anywhere_is_refused(saved, data):
    content = saved.read_bytes()
    cut = saved.with_name("cut.soundness")
    cut.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    assert_refused(cut, "(cut short|not a detector)")


@SAME_FOLDER
@given(st.data())
def test_a_file_with_one_byte_altered_anywhere_is_refused(saved, data):
    content = bytearray(saved.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1) | st.integers(0, 200))
    content[position] ^= data.draw(st.integers(1, 255))
    altered = saved.with_name("altered.soundness")
    altered.write_bytes(content)
    assert_refused(altered)


def test_a_first_line_with_one_character_altered_is_refused(saved):
    content = saved.read_bytes()
    n_accepted = []
    for position in range(content.index(b"\n") + 1):
        for other in b"0129aAf. \n\xff":
            altered = bytearray(content)
            altered[position] = other
            if bytes(altered) != content:
                saved.write_bytes(altered)
                try:
                    load_detector(saved)
                except BundleError:
                    continue
                n_accepted.append(bytes(altered[: position + 2]))
    assert n_accepted == []


@pytest.mark.parametrize("extra", [b"\0", b"\n", b"more"])
def test_a_file_that_goes_on_is_refused(saved, extra):
    saved.write_bytes(saved.read_bytes() + extra)
    assert_refused(saved)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"hello", b"RIFF....WAVEfmt ", b"PK\x03\x04", b"\x80\x02}q\x00.", b"\xff" * 1_000, b"soundness\n"],
)
def test_a_file_that_is_no_detector_is_refused(tmp_path, content):
    (tmp_path / "x.soundness").write_bytes(content)
    assert_refused(tmp_path / "x.soundness", "not a detector")


def test_a_file_of_a_newer_format_is_refused_as_such(saved):
    _, payload, _ = split(saved.read_bytes())
    newest = FORMATS["detector"]
    saved.write_bytes(sealed(payload, number=newest + 1))
    assert_refused(saved, f"format {newest + 1}; this version of soundness reads format {newest}: a newer one reads it")


@pytest.mark.parametrize("number", [1, 2, FORMATS["detector"] - 1])
def test_a_file_of_an_older_format_is_refused_as_such(saved, number):
    _, payload, _ = split(saved.read_bytes())
    saved.write_bytes(sealed(payload, number=number))
    newest = FORMATS["detector"]
    assert_refused(saved, f"format {number}; this version of soundness reads format {newest}: train it anew")


@pytest.mark.parametrize(("step", "remedy"), [(-1, "train it anew"), (1, "a newer one reads it")])
def test_a_detector_with_a_separator_of_another_format_is_refused_as_such(separating_detector, tmp_path, step, remedy):
    known = FORMATS["separator"]

    def change(about):
        about["separator"]["format"] = known + step
        about["settings"]["separator"]["dreams"] = 1  # which that format had

    save_detector(separating_detector, tmp_path / "fan.soundness")
    assert_refused(
        rewritten(tmp_path / "fan.soundness", change),
        f"its separator is of format {known + step}; this version of soundness reads format {known}: {remedy}",
    )


def test_a_file_of_another_kind_is_refused_as_such(saved):
    _, payload, _ = split(saved.read_bytes())
    saved.write_bytes(sealed(payload, kind="separator"))
    assert_refused(saved, "holds a separator; expected a detector")


@pytest.mark.parametrize(
    "payload", [b"", b"\0" * 7, b"\xff" * 64, (2).to_bytes(8, "little") + b"{}", save_arrays({"a": np.zeros(3)})]
)
def test_a_well_sealed_file_without_a_detector_in_it_is_refused(tmp_path, payload):
    (tmp_path / "x.soundness").write_bytes(sealed(payload))
    assert_refused(tmp_path / "x.soundness")


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("settings", "representation"), "dreams"),
        (("settings", "scorer", "name"), "dreams"),
        (("settings", "scorer", "dreams"), 1),
        (("settings", "scorer", "n_neighbors"), 0),
        (("settings", "autoencoder", "name"), "dreams"),
        (("settings", "autoencoder", "latent_features"), 5),
        (("summary", "seed"), "dreams"),
    ],
)
def test_a_part_that_this_version_lacks_is_refused_by_name(saved, keys, value):
    def change(about):
        for key in keys[:-1]:
            about = about[key]
        about[keys[-1]] = value

    assert_refused(rewritten(saved, change))


@pytest.mark.parametrize("key", ["machine_type", "settings", "threshold", "summary"])
def test_a_file_that_lacks_a_part_is_refused(saved, key):
    assert_refused(rewritten(saved, lambda about: about.pop(key)), key)


def test_a_folder_and_a_missing_file_are_refused_as_a_detector(tmp_path):
    assert_refused(tmp_path, "expected a detector")
    assert_refused(tmp_path / "none.soundness", "No such file")


def test_the_detectors_of_a_folder_are_found_by_machine(detectors, tmp_path, runs):
    assert load(runs["log-mel-knn"]).keys() == {"fan"}
    save_detector(detectors["conditional"], tmp_path / "b.soundness")
    (tmp_path / "notes.txt").write_text("mine")
    found = load(tmp_path)
    assert found.keys() == {"fan"}
    assert found["fan"].settings == detectors["conditional"].settings
    assert load(tmp_path / "b.soundness").keys() == {"fan"}


def test_a_folder_without_detectors_and_no_folder_at_all_are_refused(tmp_path):
    with pytest.raises(BundleError, match=rf"{re.escape(str(tmp_path))}: holds no detector; .*\{SUFFIX}"):
        load(tmp_path)
    with pytest.raises(BundleError, match=r"none: no such file or folder"):
        load(tmp_path / "none")


def test_one_damaged_detector_of_a_folder_is_named(saved, detectors):
    save_detector(detectors["conditional"], saved.with_name("pump.soundness"))
    saved.with_name("pump.soundness").write_bytes(b"gone")
    with pytest.raises(BundleError, match=r"pump\.soundness: not a detector"):
        load(saved.parent)


def test_two_detectors_of_one_machine_in_a_folder_are_refused(saved, detectors):
    save_detector(detectors["log-mel-knn"], saved.with_name("copy.soundness"))
    with pytest.raises(BundleError, match=r"fan"):
        load(saved.parent)


# Separators


@pytest.fixture
def copied_separator(separator_file, tmp_path):
    return Path(shutil.copy(separator_file, tmp_path / "s.soundness"))


def test_a_separator_where_a_detector_is_expected_and_the_reverse_are_refused_as_such(saved, copied_separator):
    assert_refused(copied_separator, "holds a separator; expected a detector")
    with pytest.raises(BundleError, match=rf"^{re.escape(str(saved))}: holds a detector; expected a separator"):
        load_separator(saved)
    with pytest.raises(BundleError, match="holds a separator; expected a detector"):
        load(copied_separator)


def test_a_detector_that_separates_holds_its_separator(separating_detector, separator, tmp_path):
    save_detector(separating_detector, tmp_path / "a.soundness")
    after = load_detector(tmp_path / "a.soundness")
    assert after.separator.fingerprint == separator.fingerprint
    assert after.separator.settings == separator.settings
    assert after.separator.summary == separator.summary
    for seed in range(3):
        clip = noise(seed, 3_000 + 2_000 * seed)
        assert after.score(clip) == separating_detector.score(clip)
        assert np.array_equal(after.error_map(clip), separating_detector.error_map(clip))
    save_detector(after, tmp_path / "b.soundness")
    assert (tmp_path / "a.soundness").read_bytes() == (tmp_path / "b.soundness").read_bytes()


def test_a_detector_whose_separator_does_not_fit_is_refused(separating_detector, tmp_path):
    save_detector(separating_detector, tmp_path / "a.soundness")

    def change(about):
        about["separator"]["settings"]["n_fft"] = 256

    assert_refused(rewritten(tmp_path / "a.soundness", change), "array masker.bottleneck.weight: .* is expected")


def test_a_detector_that_does_not_separate_holds_no_separator(saved):
    _, payload, about = split(saved.read_bytes())
    assert "separator" not in about
    assert not [name for name in load_arrays(payload) if name.startswith("separator.")]
