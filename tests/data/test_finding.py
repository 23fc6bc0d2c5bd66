"""Recordings in folders: all of them, each once, in the order of their names, and a word on what is left out."""

import os
import time
import zipfile
from pathlib import Path

import pytest

from folders import touch
from permissions import unprivileged
from soundness.data.finding import Selection, find_recordings, list_audio, list_entries, unread_problems
from soundness.errors import DataError, SettingsError


def names(folder: Path, selection: Selection | None = None) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_recordings(folder, selection).recordings]


def test_a_folder_lists_its_recordings_by_name_without_hidden_ones(tmp_path: Path) -> None:
    touch(tmp_path, "b.WAV", "a.flac", ".c.wav", "._a.wav", "notes.txt", "d.wav.bak")
    (tmp_path / "folder.wav").mkdir()
    assert [path.name for path in list_audio(tmp_path)] == ["a.flac", "b.WAV"]
    assert list_audio(tmp_path / "nowhere") == []


def test_numbers_in_names_are_ordered_as_numbers(tmp_path: Path) -> None:
    touch(tmp_path, *(f"rec_{number}.wav" for number in (10, 9, 100, 1)), "day10/a.wav", "day2/a.wav")
    assert names(tmp_path) == ["day2/a.wav", "day10/a.wav", "rec_1.wav", "rec_9.wav", "rec_10.wav", "rec_100.wav"]
    assert [path.name for path in list_entries(tmp_path)[0]] == ["day2", "day10"]


def test_recordings_are_found_however_deep_they_lie(tmp_path: Path) -> None:
    deep = "/".join(f"f{level}" for level in range(30))
    touch(tmp_path, f"{deep}/a.wav", "2024/03/01/06/b.wav")
    assert set(names(tmp_path)) == {f"{deep}/a.wav", "2024/03/01/06/b.wav"}


def test_recycle_bins_thumbnails_and_hidden_folders_are_left_out(tmp_path: Path) -> None:
    clutter = ("$RECYCLE.BIN", ".Trash-1000", "System Volume Information", "@eaDir", "#recycle", "__MACOSX", ".cache")
    touch(tmp_path, "a.wav", *(f"{name}/b.wav" for name in clutter), "~$a.wav")
    assert names(tmp_path) == ["a.wav"]
    assert names(tmp_path / ".cache") == ["b.wav"]  # named itself, it is read


def test_links_that_go_in_circles_end_and_what_two_ways_lead_to_is_found_once(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.wav", "z/b.wav")
    for link in ("latest", "z/circle"):
        (tmp_path / "in" / link).symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "in" / "again").symlink_to("z", target_is_directory=True)
    (tmp_path / "in" / "copy.wav").symlink_to("a.wav")
    touch(tmp_path / "elsewhere", "c.wav")
    (tmp_path / "in" / "more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "in" / "loop").symlink_to("loop")
    assert names(tmp_path / "in") == ["a.wav", "more/c.wav", "z/b.wav"]


def test_a_link_that_leads_nowhere_is_found_so_that_reading_it_tells(tmp_path: Path) -> None:
    (tmp_path / "gone.wav").symlink_to(tmp_path / "nothing.wav")
    assert names(tmp_path) == ["gone.wav"]


def test_a_folder_that_may_not_be_listed_is_named(open_folder: Path) -> None:
    open_folder.chmod(0o311)
    with (
        unprivileged(open_folder),
        pytest.raises(DataError, match=f"{open_folder}: no permission to list this folder"),
    ):
        list_audio(open_folder)


def test_a_closed_folder_below_is_named_and_the_others_are_read(open_folder: Path) -> None:
    touch(open_folder, "a/x.wav", "b/x.wav", "c/x.wav")
    (open_folder / "b").chmod(0)
    with unprivileged(open_folder / "b"):
        found = find_recordings(open_folder)
    assert [path.parent.name for path in found.recordings] == ["a", "c"]
    (problem,) = unread_problems(found, open_folder)
    assert str(problem) == f"{open_folder / 'b'}: no permission to list this folder; what is in it is not read"


def test_files_that_look_like_recordings_and_cannot_be_read_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.dss", "c.dss", "sub/d.vox", "e.wav.gz", "notes.txt", "table.csv.gz", "README")
    (tmp_path / "rec_0001").write_bytes(b"RIFF\0\0\0\0WAVE")
    first, second = unread_problems(find_recordings(tmp_path), tmp_path)
    assert "3 files look like recordings that cannot be read here (2 .dss, 1 .vox)" in first.message
    assert first.message.endswith("e.g. b.dss")
    assert second.message.startswith("2 file(s)")
    assert second.message.endswith("e.g. e.wav.gz")


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_a_name_that_is_no_utf_8_is_found(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/Stra\xdfe.wav")).touch()
    assert [os.fsencode(path.name) for path in find_recordings(tmp_path).recordings] == [b"Stra\xdfe.wav"]


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [("*_L.wav", ["d1/a_l.wav", "d2/a_L.wav"]), ("d1/*", ["d1/a_l.wav", "d1/a_r.wav"]), ("b*", ["b.wav"])],
)
def test_a_pattern_takes_recordings_by_name_or_by_path(tmp_path: Path, pattern: str, taken: list[str]) -> None:
    touch(tmp_path, "d1/a_l.wav", "d1/a_r.wav", "d2/a_L.wav", "b.wav")
    assert sorted(names(tmp_path, Selection(tmp_path, pattern=pattern))) == sorted(taken)


def test_recordings_since_a_date_or_for_a_time_are_taken(tmp_path: Path) -> None:
    touch(tmp_path, "old.wav", "new.wav")
    os.utime(tmp_path / "old.wav", (1.7e9, 1.7e9))  # in November 2023
    os.utime(tmp_path / "new.wav", (time.time() - 3000,) * 2)
    for since in ("2024-01-01", "1h", "2d", "2024-01-01T06:00"):
        assert names(tmp_path, Selection(tmp_path, since=since)) == ["new.wav"]
    assert names(tmp_path, Selection(tmp_path, since="2023-01-01")) == ["new.wav", "old.wav"]
    assert names(tmp_path, Selection(tmp_path, since="10min")) == []


@pytest.mark.parametrize("since", ["yesterday", "7", "-3d", "2024-13-01", ""])
def test_what_is_no_date_and_no_time_is_refused(since: str) -> None:
    with pytest.raises(SettingsError, match="is no date or time; expected one such as 2024-03-01"):
        Selection(".", since=since)


def test_one_path_is_a_list_of_one() -> None:
    assert Selection("data").paths == Selection(Path("data")).paths == Selection(["data"]).paths == (Path("data"),)
    assert Selection(Selection("data", pattern="*.wav")).pattern == "*.wav"
    with pytest.raises(DataError, match="a int; expected a path, or a list of paths"):
        Selection(5)  # type: ignore[arg-type]


def test_an_archive_of_recordings_and_samples_without_a_header_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "day.zip", "w") as archive:
        archive.writestr("2024-03-01/a.wav", b"RIFF")
    with zipfile.ZipFile(tmp_path / "letters.zip", "w") as archive:
        archive.writestr("a.txt", b"Dear Sir")
    (tmp_path / "b.raw").write_bytes(bytes(100))
    found = find_recordings(tmp_path)
    assert found.unread == [tmp_path / "b.raw", tmp_path / "day.zip"]
    first, second = (problem.message for problem in unread_problems(found, tmp_path))
    assert "1 file looks like a recording that cannot be read here (1 .raw); convert them to WAV" in first
    assert "e.g. day.zip" in second
