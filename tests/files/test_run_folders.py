"""A run folder is begun, resumed, replaced or refused; what a run was started with is known again."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from soundness.errors import OutputError
from soundness.files.run_folders import (
    LOCK_NAME,
    abandon_run,
    begin_run,
    check_identity,
    finish_run,
    locked_file,
    locked_folder,
    read_identity,
)

IDENTITY = {"system": "conditional", "seed": 3, "machine_types": ["fan"], "settings": {"a": [1, 2.5], "b": None}}


def begin(folder, existing="refuse", **changes):
    begin_run(
        folder,
        {**IDENTITY, **changes},
        kind="training",
        file_name="run.json",
        existing=existing,
        parts=lambda file: [*(f"{name}.result" for name in read_identity(file)["machine_types"]), "work"],
    )


@pytest.fixture
def finished(tmp_path):
    """A run with results, and a file that is not its own."""
    folder = tmp_path / "out"
    begin(folder)
    (folder / "fan.result").write_text("a result")
    (folder / "work").mkdir()
    (folder / "work" / "log").write_text("a log")
    (folder / "notes.txt").write_text("a person's own")
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_written_is_read_and_passes(tmp_path):
    begin(tmp_path / "out")
    assert read_identity(tmp_path / "out" / "run.json") == IDENTITY
    check_identity(tmp_path / "out" / "run.json", IDENTITY)


def test_a_folder_that_holds_an_identity_alone_counts_as_empty(tmp_path):
    begin(tmp_path / "out")
    begin(tmp_path / "out", seed=4)
    assert read_identity(tmp_path / "out" / "run.json")["seed"] == 4


def test_results_are_refused_unless_they_are_to_be_resumed_or_replaced(finished):
    with pytest.raises(OutputError, match=r"out: exists already; --overwrite replaces it, --resume goes on with it"):
        begin(finished)
    assert names(finished) == ["fan.result", "notes.txt", "run.json", "work"]


def test_a_run_is_resumed_with_all_that_is_there(finished):
    begin(finished, "resume")
    assert names(finished) == ["fan.result", "notes.txt", "run.json", "work"]


def test_a_run_of_something_else_is_not_resumed(finished):
    with pytest.raises(OutputError, match=r"out: was started with another seed"):
        begin(finished, "resume", seed=4)


def test_where_there_is_nothing_to_resume_a_run_is_begun(tmp_path):
    begin(tmp_path / "out", "resume")
    assert read_identity(tmp_path / "out" / "run.json") == IDENTITY


def test_replacing_removes_the_parts_of_the_earlier_run_and_nothing_else(finished):
    begin(finished, "replace", machine_types=["pump"])
    assert names(finished) == ["notes.txt", "run.json"]
    assert read_identity(finished / "run.json")["machine_types"] == ["pump"]


@pytest.mark.parametrize("content", ["", "{}", '{"seed": 3'])
def test_results_whose_parts_are_known_without_their_identity_are_replaced(finished, content):
    (finished / "run.json").write_text(content)
    begin_run(finished, IDENTITY, kind="training", file_name="run.json", existing="replace", parts=lambda _: ["work"])
    assert names(finished) == ["fan.result", "notes.txt", "run.json"]
    assert read_identity(finished / "run.json") == IDENTITY


@pytest.mark.parametrize("content", ["", "{}", '{"seed": 3'])
def test_results_whose_parts_are_in_a_damaged_identity_stay(finished, content):
    (finished / "run.json").write_text(content)
    with pytest.raises(OutputError, match=r"run\.json: not the file of a run .*; remove .* by hand"):
        begin(finished, "replace")
    assert names(finished) == ["fan.result", "notes.txt", "run.json", "work"]


@pytest.mark.parametrize("existing", ["refuse", "resume", "replace"])
def test_a_folder_of_anything_else_is_never_touched(tmp_path, existing):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match=r"is not the folder of a training \(no run\.json\); choose another"):
        begin(tmp_path, existing)
    assert names(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("existing", ["refuse", "resume", "replace"])
def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path, existing):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match=r"out: is a file; a folder for the training is expected"):
        begin(tmp_path / "out", existing)


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
    with pytest.raises(OutputError, match=r"run\.json: not the file of a run .*; remove .* by hand"):
        read_identity(tmp_path / "run.json")


HOLD = """
import sys, time
from pathlib import Path
from soundness.files.run_folders import locked_folder

with locked_folder(Path(sys.argv[1]), kind="scoring"):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other_process(tmp_path):
    """A process that has the lock of ``out``."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "out")], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"locked\n"
        yield process
        process.kill()


def test_a_folder_that_another_process_writes_is_refused_with_its_name(tmp_path, other_process):
    with (
        pytest.raises(
            OutputError, match=rf"out: in use by a scoring, process {other_process.pid} on .*, since 20.*; wait until"
        ),
        locked_folder(tmp_path / "out", kind="training"),
    ):
        pass
    assert names(tmp_path / "out") == [LOCK_NAME]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path, other_process):
    other_process.send_signal(signal.SIGKILL)
    other_process.wait()
    assert names(tmp_path / "out") == [LOCK_NAME]
    with locked_folder(tmp_path / "out", kind="training"):
        assert str(os.getpid()) in (tmp_path / "out" / LOCK_NAME).read_text()
        assert str(other_process.pid) not in (tmp_path / "out" / LOCK_NAME).read_text()
    assert names(tmp_path / "out") == []


def test_a_lock_leaves_results_and_nothing_else(tmp_path):
    with locked_folder(tmp_path / "a" / "out", kind="training"):
        (tmp_path / "a" / "out" / "result").write_text("one")
    assert names(tmp_path / "a" / "out") == ["result"]
    with locked_file(tmp_path / "b" / "c" / "result", kind="training"):
        pass
    assert names(tmp_path) == ["a"]


def test_of_threads_that_come_together_one_at_a_time_has_the_lock(tmp_path):
    inside, most, refused = [], [], []

    def work():
        for _ in range(200):
            try:
                with locked_folder(tmp_path / "out", kind="training"):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
            except OutputError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert [message for message in refused if "out: in use by a" not in message] == []


def test_a_run_begins_in_a_locked_folder(tmp_path):
    with locked_folder(tmp_path / "out", kind="training"):
        begin(tmp_path / "out")
    assert names(tmp_path / "out") == ["run.json"]


@pytest.mark.parametrize("make", [lambda path: path.symlink_to(path.parent / "other"), os.mkfifo])
def test_what_is_no_plain_file_is_no_lock(tmp_path, make):
    make(tmp_path / LOCK_NAME)
    with pytest.raises(OutputError, match=r"\.soundness\.lock: "), locked_folder(tmp_path, kind="training"):
        pass


def test_who_has_a_lock_is_shown_in_one_harmless_line(tmp_path):
    with locked_folder(tmp_path, kind="training"):
        (tmp_path / LOCK_NAME).write_bytes(b"\x1b[2Jgone\xff" + b"x" * 10_000)
        with pytest.raises(OutputError) as caught, locked_folder(tmp_path, kind="training"):
            pass
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500 + len(str(tmp_path))


def parts_of(file):
    return [*(f"{name}.result" for name in read_identity(file)["machine_types"]), "work"]


def begin_staged(folder, existing, **changes):
    return begin_run(
        folder,
        {**IDENTITY, **changes},
        kind="training",
        file_name="run.json",
        existing=existing,
        parts=parts_of,
        is_staged=True,
    )


def test_earlier_results_stay_until_new_ones_take_their_place(finished):
    made = begin_staged(finished, "replace", machine_types=["pump"], seed=4)
    assert made != finished
    (made / "pump.result").write_text("a new result")
    assert (finished / "fan.result").read_text() == "a result"
    assert read_identity(finished / "run.json")["seed"] == 3
    finish_run(finished, made, file_name="run.json", parts=parts_of)
    assert names(finished) == ["notes.txt", "pump.result", "run.json"]
    assert read_identity(finished / "run.json")["seed"] == 4


def test_a_replacement_that_was_interrupted_is_resumed_or_begun_anew(finished):
    made = begin_staged(finished, "replace", seed=4)
    (made / "fan.result").write_text("a new result")
    assert begin_staged(finished, "resume", seed=4) == made
    assert (made / "fan.result").exists()
    assert begin_staged(finished, "resume") == finished  # the earlier run, which is still there
    assert begin_staged(finished, "replace", seed=5) == made
    assert names(made) == ["run.json"]


def test_a_replacement_that_has_nothing_yet_leaves_nothing(finished):
    made = begin_staged(finished, "replace", seed=4)
    abandon_run(finished, made, file_name="run.json")
    assert names(finished) == ["fan.result", "notes.txt", "run.json", "work"]
    made = begin_staged(finished, "replace", seed=4)
    (made / "checkpoint").write_text("hours of work")
    abandon_run(finished, made, file_name="run.json")
    assert (made / "checkpoint").exists()


@pytest.mark.parametrize("name", ["../mine", "..", "/mine", "a/b", "", "a\0b", "a\nb"])
def test_nothing_outside_of_a_run_is_removed(finished, name):
    (finished.parent / "mine.result").write_text("mine")
    (finished / "run.json").write_text(json.dumps({**IDENTITY, "machine_types": [name]}))
    with pytest.raises(OutputError, match=r"run\.json: not the file of a run .*; remove .* by hand"):
        begin(finished, "replace")
    assert (finished.parent / "mine.result").exists()
    assert (finished / "fan.result").exists()


def test_the_holder_of_a_lock_is_named_in_words(tmp_path):
    with (
        locked_folder(tmp_path / "out", kind="export"),
        pytest.raises(OutputError, match="in use by an export, process"),
        locked_folder(tmp_path / "out", kind="export"),
    ):
        pytest.fail("two have the lock")
