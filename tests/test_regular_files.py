"""A pipe, a device or a socket in a file's place is refused by every reader, which does not wait for it."""

import os
import signal
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import soundness
from soundness.audio.reading import read_info
from soundness.data.csv_tables import read_rows
from soundness.detectors.exported import ExportedDetector
from soundness.errors import SoundnessError
from soundness.files.atomic import open_text
from soundness.files.run_folders import read_identity
from soundness.files.sealed import read_sealed
from soundness.monitoring.watching.log import opened_log
from soundness.regular_files import NotAFileError, open_regular, read_regular, read_regular_text


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """A reader that waits is ended after some seconds, with an error."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def bound_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
    return path


def device(path: Path) -> Path:
    path.symlink_to("/dev/zero")
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def read_log(path: Path) -> None:
    with opened_log(path):
        pass


KINDS = {"a named pipe": pipe, "a socket": bound_socket, "a device": device, "a folder": folder}
READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "recording": ("a.wav", read_info),
    "detector": ("a.soundness", lambda path: read_sealed(path, kind="detector")),
    "exported graph": ("a.json", lambda path: ExportedDetector.load(path.with_suffix(".onnx"))),
    "settings": ("a.toml", soundness.load_settings),
    "identity of a run": ("run.json", read_identity),
    "log of text": ("a.csv", read_log),
    "log of a database": ("a.sqlite", read_log),
}


@pytest.mark.parametrize(("kind", "make"), KINDS.items(), ids=KINDS)
@pytest.mark.parametrize(("name", "read"), READERS.values(), ids=READERS)
def test_what_is_no_file_is_refused_by_name_and_not_waited_for(
    tmp_path: Path, kind: str, make: Callable[[Path], Path], name: str, read: Callable[[Path], object]
) -> None:
    path = make(tmp_path / name)
    with pytest.raises(SoundnessError, match=f"{name}.*{kind}"):
        read(path)


@pytest.mark.parametrize(("kind", "make"), KINDS.items(), ids=KINDS)
@pytest.mark.parametrize(
    "read",
    [open_regular, read_regular_text, lambda path: open_text(path, mode="r"), lambda path: read_rows(path, fits=bool)],
)
def test_its_error_says_what_is_there(
    tmp_path: Path, kind: str, make: Callable[[Path], Path], read: Callable[[Path], object]
) -> None:
    with pytest.raises(NotAFileError, match=f"{kind}, not a file") as caught:
        read(make(tmp_path / "a.csv"))
    assert caught.value.kind == kind


def test_a_file_that_a_link_leads_to_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("sound", encoding="utf-8")
    (tmp_path / "b.txt").symlink_to(tmp_path / "a.txt")
    assert read_regular_text(tmp_path / "b.txt") == "sound"


def test_a_folder_with_a_pipe_of_a_recordings_name_is_refused_by_its_name(tmp_path: Path) -> None:
    pipe(tmp_path / "a.wav")
    with pytest.raises(SoundnessError, match=r"a\.wav.*named pipe"):
        soundness.train(tmp_path, tmp_path / "run")


def test_reading_a_small_file_reserves_no_more_than_its_size(tmp_path):

    path = tmp_path / "small.bin"
    path.write_bytes(b"1" * 1_000)
    tracemalloc.start()
    assert read_regular(path, most_bytes=1 << 28) == b"1" * 1_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
