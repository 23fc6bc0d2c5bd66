"""What a training was started with is known again, wherever the data lie, and whatever differs is named."""

import json

import pytest

from soundness.errors import OutputError
from soundness.run_folders import begin_run, check_identity, read_identity

IDENTITY = {"system": "conditional", "seed": 3, "machine_types": ["fan"], "settings": {"a": [1, 2.5], "b": None}}


def begin(folder):
    begin_run(folder, IDENTITY, kind="training", file_name="run.json", existing="refuse", parts=lambda _: [])


def test_what_was_written_is_read_and_passes(tmp_path):
    begin(tmp_path / "out")
    assert read_identity(tmp_path / "out" / "run.json") == IDENTITY
    check_identity(tmp_path / "out" / "run.json", IDENTITY)


@pytest.mark.parametrize(
    ("key", "value"), [("seed", 4), ("system", "x"), ("machine_types", []), ("settings", {"a": [1, 2.5]}), ("new", 1)]
)
def test_what_differs_is_named(tmp_path, key, value):
    begin(tmp_path / "out")
    with pytest.raises(OutputError, match=rf"out: was started with another {key}; --resume goes on with the same"):
        check_identity(tmp_path / "out" / "run.json", {**IDENTITY, key: value})


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", json.dumps({"seed": 3})])
def test_a_file_of_anything_else_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(OutputError, match=r"run\.json: not the file of a run; remove .* by hand"):
        read_identity(tmp_path / "run.json")
