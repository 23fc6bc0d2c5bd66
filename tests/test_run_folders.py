"""What a training was started with is known again, wherever the data lie, and whatever differs is named."""

import json
import shutil

import pytest

from soundness.data.datasets import fingerprint, open_dataset
from soundness.errors import OutputError
from soundness.run_folders import check_identity, read_identity

IDENTITY = {"system": "conditional", "seed": 3, "machine_types": ["fan"], "settings": {"a": [1, 2.5], "b": None}}


def clips_of(folder):
    return [clip for machine in open_dataset(folder).machines.values() for clip in machine.train]


@pytest.fixture
def copied(fan, tmp_path):
    return shutil.copytree(fan, tmp_path / "data" / "fan")


def test_what_was_written_is_read_and_passes(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(IDENTITY))
    assert read_identity(tmp_path / "run.json") == IDENTITY
    check_identity(tmp_path / "run.json", IDENTITY)


@pytest.mark.parametrize(
    ("key", "value"), [("seed", 4), ("system", "x"), ("machine_types", []), ("settings", {"a": [1, 2.5]}), ("new", 1)]
)
def test_what_differs_is_named(tmp_path, key, value):
    (tmp_path / "run.json").write_text(json.dumps(IDENTITY))
    with pytest.raises(
        OutputError, match=rf"{tmp_path.name}: was started with another {key}; --resume goes on with the same"
    ):
        check_identity(tmp_path / "run.json", {**IDENTITY, key: value})


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", json.dumps({"seed": 3})])
def test_a_file_of_anything_else_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(OutputError, match=r"run\.json: not the file of a run; remove .* by hand"):
        read_identity(tmp_path / "run.json")


def test_a_fingerprint_does_not_depend_on_where_clips_lie_or_on_their_order(fan, copied):
    clips = clips_of(fan)
    assert fingerprint(clips) == fingerprint(clips[::-1]) == fingerprint(clips_of(copied))


def test_a_fingerprint_tells_sets_of_clips_apart(fan, copied):
    before = fingerprint(clips_of(fan))
    assert fingerprint(clips_of(fan)[1:]) != before
    path = sorted((copied / "train").iterdir())[0]
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0\0")
    assert fingerprint(clips_of(copied)) != before
    path.write_bytes(whole)
    path.rename(path.with_name(path.name.replace("vel_0", "vel_1")))
    assert fingerprint(clips_of(copied)) != before


def test_a_fingerprint_tells_machines_apart(copied):
    before = fingerprint(clips_of(copied))
    copied.rename(copied.with_name("pump"))
    assert fingerprint(clips_of(copied.with_name("pump"))) != before


def test_a_fingerprint_of_no_clips_is_one(fan):
    assert fingerprint([]) != fingerprint(clips_of(fan)[:1])
