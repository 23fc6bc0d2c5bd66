"""Archives that mean well, and archives that do not."""

import contextlib
import stat
import time
import warnings
import zipfile
from pathlib import PurePosixPath
from zipfile import ZipFile, ZipInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soundness.data.download_archives import is_inside, unpack
from soundness.errors import DownloadError, OutputError

NOISE = np.random.default_rng(0).bytes(5000)


def as_they_are(paths):
    return paths


def write_zip(path, members, *, compression=zipfile.ZIP_DEFLATED):
    with ZipFile(path, "w", compression) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that come twice
        for member, content in members:
            archive.writestr(member, content)
    return path


def refusal(tmp_path, archive):
    """Why an archive is refused, of which nothing may be left anywhere."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DownloadError) as caught:
        unpack(archive, tmp_path / "out", arrange=as_they_are)
    assert sorted(tmp_path.rglob("*")) == before
    message = str(caught.value)
    assert message.startswith(f"{archive}: ")
    assert "\n" not in message
    return message


def test_files_come_out_as_they_went_in(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [("fan/", ""), ("fan/train/a.wav", NOISE), ("fan/b.csv", b"x,y\n")])
    steps = []
    files = unpack(archive, tmp_path / "out", arrange=as_they_are, progress=lambda *step: steps.append(step))
    assert files == {PurePosixPath("fan/train/a.wav"): 5000, PurePosixPath("fan/b.csv"): 4}
    assert (tmp_path / "out" / "fan" / "train" / "a.wav").read_bytes() == NOISE
    assert (tmp_path / "out" / "fan" / "b.csv").read_bytes() == b"x,y\n"
    assert steps == [(1, 2), (2, 2)]


def test_files_go_where_they_are_arranged(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [("x/y/a.wav", NOISE)])
    files = unpack(archive, tmp_path / "out", arrange=lambda paths: [PurePosixPath(path.name) for path in paths])
    assert list(files) == [PurePosixPath("a.wav")]
    assert (tmp_path / "out" / "a.wav").read_bytes() == NOISE


def test_backslashes_are_slashes(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [("fan\\train\\a.wav", NOISE)])
    assert list(unpack(archive, tmp_path / "out", arrange=as_they_are)) == [PurePosixPath("fan/train/a.wav")]


def test_what_desktops_leave_is_left_out(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [("__MACOSX/fan/._a.wav", b"x"), ("fan/.DS_Store", b"x"), ("a.wav", NOISE)])
    assert list(unpack(archive, tmp_path / "out", arrange=as_they_are)) == [PurePosixPath("a.wav")]


@pytest.mark.parametrize(
    "name",
    [
        "../evil.wav",
        "fan/../../evil.wav",
        "..\\evil.wav",
        "fan/train/..",
        "/tmp/evil.wav",
        "//server/share/evil.wav",
        "\\\\server\\share\\evil.wav",
        "C:\\evil.wav",
        "C:evil.wav",
        "c:/evil.wav",
        "fan/a.wav:stream",
    ],
)
def test_no_path_leaves_the_folder(tmp_path, name):
    member = ZipInfo("x")
    member.filename = name
    archive = write_zip(tmp_path / "evil.zip", [("fan/train/good.wav", NOISE), (member, b"evil")])
    message = refusal(tmp_path, archive)
    assert repr(name) in message
    assert "outside the folder" in message


def test_a_name_that_ends_before_its_end_is_refused(tmp_path):
    archive = write_zip(tmp_path / "evil.zip", [("a.wavX..", NOISE)])
    archive.write_bytes(archive.read_bytes().replace(b"a.wavX..", b"a.wav\0.."))
    assert r"'a.wav\x00..'" in refusal(tmp_path, archive)


@pytest.mark.parametrize(
    ("kind", "word"), [(stat.S_IFLNK, "a link"), (stat.S_IFIFO, "neither a file"), (stat.S_IFCHR, "neither a file")]
)
def test_links_and_devices_are_refused(tmp_path, kind, word):
    member = ZipInfo("fan/train")
    member.create_system, member.external_attr = 3, (kind | 0o777) << 16
    archive = write_zip(tmp_path / "evil.zip", [(member, b"/etc"), ("fan/train/passwd", b"x" * 10)])
    message = refusal(tmp_path, archive)
    assert f"'fan/train' is {word}" in message


def test_two_members_of_one_name_are_refused(tmp_path):
    archive = write_zip(tmp_path / "evil.zip", [("a.wav", NOISE), ("a.wav", NOISE)])
    assert "two of its members would be a.wav" in refusal(tmp_path, archive)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    archive = write_zip(tmp_path / "bomb.zip", [("a.wav", bytes(10_000_000))])
    assert archive.stat().st_size < 20_000
    assert "unpack to 1 files of 10,000,000 bytes; at most" in refusal(tmp_path, archive)


def test_more_than_the_declared_size_is_not_unpacked(tmp_path):
    archive = write_zip(tmp_path / "bomb.zip", [("a.wav", NOISE + bytes(1_000_000))])
    size = (1_005_000).to_bytes(4, "little")
    packed = archive.read_bytes()
    assert packed.count(size) == 2  # before the member, and in the archive's directory
    archive.write_bytes(packed.replace(size, (6000).to_bytes(4, "little")))
    with pytest.raises(DownloadError, match=r"bomb\.zip: not an intact zip archive: Bad CRC-32"):
        unpack(archive, tmp_path / "out", arrange=as_they_are)
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*")) <= 6000


def test_members_that_overlap_are_refused(tmp_path):
    archive = write_zip(tmp_path / "bomb.zip", [(f"{index}.wav", NOISE * 200) for index in range(40)], compression=0)
    with ZipFile(archive) as opened:
        first = opened.infolist()[0]
    packed = archive.read_bytes()
    directory = packed.index(b"PK\x01\x02")
    data = packed[: first.header_offset + 30 + len(first.filename) + first.file_size]
    entries = bytearray(packed[directory:])
    position = 0
    while (position := entries.find(b"PK\x01\x02", position)) >= 0:
        entries[position + 42 : position + 46] = bytes(4)  # all of them begin where the first does
        position += 1
    end = entries.rindex(b"PK\x05\x06")
    entries[end + 16 : end + 20] = len(data).to_bytes(4, "little")
    archive.write_bytes(data + bytes(entries))
    assert "unpack to 40 files of 40,000,000 bytes" in refusal(tmp_path, archive)


def test_an_encrypted_member_is_refused(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [("a.wav", NOISE)])
    packed = bytearray(archive.read_bytes())
    packed[6] |= 1
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(packed)
    assert "'a.wav' is encrypted" in refusal(tmp_path, archive)


def test_another_way_of_packing_is_refused(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [("a.wav", NOISE)], compression=zipfile.ZIP_BZIP2)
    assert "'a.wav' is packed in a way that is not read" in refusal(tmp_path, archive)


@pytest.mark.parametrize("content", [b"", b"<html>Sorry</html>", b"PK\x05\x06" + bytes(17)])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    assert "not an intact zip archive" in refusal(tmp_path, tmp_path / "a.zip")


def test_a_file_that_exists_is_not_replaced(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [("a.wav", NOISE)])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.wav").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"a\.wav: cannot be written: File exists"):
        unpack(archive, tmp_path / "out", arrange=as_they_are)
    assert (tmp_path / "out" / "a.wav").read_bytes() == b"mine"


@given(name=st.text(alphabet="ab./\\:C\0", min_size=1, max_size=12))
def test_what_is_inside_stays_inside_on_this_system(name):
    if is_inside(name):
        base = PurePosixPath("/base")
        path = base / PurePosixPath(name.replace("\\", "/"))
        depth = 0
        for part in path.parts[2:]:
            depth += {"..": -1}.get(part, 1)
            assert depth > 0
        assert path.is_relative_to(base)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_archive_with_altered_bytes_is_unpacked_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("altered")
    archive = write_zip(folder / "a.zip", [("fan/train/a.wav", NOISE[:40]), ("fan/b.csv", b"x,y\n")])
    packed = bytearray(archive.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    archive.write_bytes(packed)
    with contextlib.suppress(DownloadError, OutputError):
        unpack(archive, folder / "out" / "in", arrange=as_they_are)
    assert {path.name for path in folder.iterdir()} <= {"a.zip", "out"}
    assert not (folder / "out").exists() or {path.name for path in (folder / "out").iterdir()} <= {"in"}


def test_a_path_of_many_folders_is_refused(tmp_path):
    archive = write_zip(tmp_path / "a.zip", [("fan/train/" + "d/" * 1_500 + "a.wav", NOISE)])
    assert "lies 1502 folders deep or has a name that no disk takes" in refusal(tmp_path, archive)


@pytest.mark.parametrize("name", ["a" * 300 + ".wav", "\N{SNOWMAN}" * 100 + ".wav"])
def test_a_name_that_no_disk_takes_is_refused(tmp_path, name):
    archive = write_zip(tmp_path / "a.zip", [(f"fan/train/{name}", NOISE)])
    message = refusal(tmp_path, archive)
    assert "has a name that no disk takes" in message
    assert len(message) < 300 + len(str(archive))


@pytest.mark.parametrize("is_large", [False, True])
def test_a_directory_of_a_million_names_is_refused_before_it_is_read(tmp_path, is_large):
    entry = b"PK\1\2" + bytes(42)
    directory = entry * 3_000_000
    size = (0xFFFFFFFF if is_large else len(directory)).to_bytes(4, "little")
    large = b"PK\6\6" + bytes(36) + len(directory).to_bytes(8, "little") + bytes(8) + b"PK\6\7" + bytes(16)
    end = b"PK\5\6" + bytes(8) + size + bytes(4) + bytes(2)
    archive = tmp_path / "a.zip"
    archive.write_bytes(directory + (large if is_large else b"") + end)
    began = time.perf_counter()
    assert "its directory takes 138,000,000 bytes" in refusal(tmp_path, archive)
    assert time.perf_counter() - began < 5.0
