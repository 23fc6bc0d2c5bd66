"""Names that are no UTF-8, act on a terminal or look like a formula: every command reads and shows them safely."""

import os
from pathlib import Path

import pytest

from command_line import soundness
from recordings import write

NAMES = (b"a\xff.wav", b"b\nc.wav", b"=1+1.wav", b"d\x1b[31m.wav", b"e\xe2\x80\xae.wav", b"@y.wav")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_names_of_strangers_pass_through_every_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for index, (folder, name) in enumerate(
        (folder, name) for folder in (b"L\xfcfter\n1", b"new", b"x\xff") for name in NAMES
    ):
        place = Path(os.fsdecode(folder)) / ("normal" if folder.startswith(b"L") else "day1")
        write(tmp_path / "recording.wav", seed=index)
        place.mkdir(parents=True, exist_ok=True)
        (tmp_path / "recording.wav").rename(place / os.fsdecode(name))
    machine, new, other = (os.fsdecode(name) for name in (b"L\xfcfter\n1", b"new", b"x\xff"))
    detector = Path("run") / "L%FCfter%0A1.soundness"
    commands = (
        ("inspect", machine, "--json", "inspection.json"),
        ("train", machine, "--out", "run", "--system", "log-mel-whitened", "-q"),
        ("score", "run", other, "--out", "scores"),
        ("calibrate", detector, new, "--out", "calibrated.soundness"),
        ("watch", other, "--detector", "calibrated.soundness", "--once", "--poll", "0.1", "--log", "log.csv"),
        ("drift", detector, new, "--json", "drift.json"),
        ("explain", detector, Path(other) / "day1" / os.fsdecode(NAMES[0]), "--normal", machine, "--out", "why"),
        ("report", "run", "--scores", "scores", "--data", other, "--out", "report.html"),
        ("evaluate", "scores", "--truth", other),
    )
    for command in commands:
        result = soundness(*command)
        assert result.exit_code in (0, 2 if command[0] == "evaluate" else 0), (command, result.output)
        text = result.stdout + result.stderr
        assert all(line.isprintable() for line in text.splitlines()), command
    rows = (tmp_path / "scores" / "scores.csv").read_bytes().splitlines()
    assert len(rows) >= 1 + len(NAMES)
    assert not any(row.startswith((b"=", b"@")) for row in rows)
