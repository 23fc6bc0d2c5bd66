"""A file is written whole or not at all, and what cannot be written is one line."""

import csv
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from permissions import unprivileged
from soundness.errors import OutputError
from soundness.files.atomic import PARTIAL_SUFFIX, RowFile, open_text, output_errors, whole_file, write_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("content", "expected"), [("a é\n", "a é\n".encode()), (b"\0\xff", b"\0\xff")])
def test_text_and_bytes_are_written_into_new_folders(tmp_path, content, expected):
    write_whole(tmp_path / "a" / "b" / "file", content)
    assert (tmp_path / "a" / "b" / "file").read_bytes() == expected
    assert names(tmp_path / "a" / "b") == ["file"]


def test_an_earlier_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    with whole_file(path) as partial:
        partial.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert names(tmp_path) == ["file"]


def test_what_fails_halfway_leaves_the_earlier_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")

    def fail_halfway():
        with whole_file(path) as partial:
            partial.write_text("half")
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        fail_halfway()
    assert path.read_text() == "before"
    assert names(tmp_path) == ["file"]


def test_a_link_stays_and_leads_to_the_new_file_which_keeps_its_mode(tmp_path):
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "x.json", tmp_path / "x.json"
    real.write_text("before")
    real.chmod(0o600)
    link.symlink_to(real)
    write_whole(link, "after")
    assert link.is_symlink()
    assert (real.read_text(), real.stat().st_mode & 0o777) == ("after", 0o600)
    assert names(real.parent) == ["x.json"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
def test_a_pipe_is_written_into_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text)
        write_whole(pipe, "through")
        assert read.result(timeout=10) == "through"
    assert pipe.is_fifo()


def test_a_name_as_long_as_names_may_be_is_written(tmp_path):
    path = tmp_path / ("a" * 250 + ".html")
    write_whole(path, "x")
    assert path.read_text() == "x"


def test_two_at_once_do_not_write_into_each_other(tmp_path):
    with whole_file(tmp_path / "a") as one, whole_file(tmp_path / "b") as other:
        assert one != other
        one.write_text("a")
        other.write_text("b")
    assert (tmp_path / "a").read_text() == "a"


def test_a_folder_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match=r"out/x\.csv: cannot be written: ") as raised:
        write_whole(tmp_path / "out" / "x.csv", "")
    assert isinstance(raised.value.__cause__, OSError)


def test_a_folder_that_may_not_be_written_is_one_line(open_folder):
    folder = open_folder / "closed"
    folder.mkdir(mode=0o000)
    with unprivileged(folder), pytest.raises(OutputError, match=r"x\.csv: cannot be written: Permission denied"):
        write_whole(folder / "x.csv", "")


def test_other_errors_pass_unchanged(tmp_path):
    with pytest.raises(ValueError, match="not the system's"), output_errors(tmp_path):
        raise ValueError("not the system's")


def test_rows_are_there_under_another_name_until_the_file_is_complete(tmp_path):
    path = tmp_path / "out" / "scores.csv"
    rows = [["a.wav", "1.5"], ['comma, "quote"', "2"], ["return\r", "3"]]
    file = RowFile(path)
    for row in rows:
        file.append(row)
    assert names(path.parent) == [f"scores.csv{PARTIAL_SUFFIX}"]
    file.complete()
    assert names(path.parent) == ["scores.csv"]
    with open_text(path, mode="r") as stream:
        assert list(csv.reader(stream)) == rows


def test_a_byte_order_mark_is_dropped_and_names_that_are_no_text_pass(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbfa\xff.wav,1\n")
    with open_text(tmp_path / "x.csv", mode="r") as stream:
        ((name, _),) = csv.reader(stream)
    assert name.encode("utf-8", "surrogateescape") == b"a\xff.wav"
