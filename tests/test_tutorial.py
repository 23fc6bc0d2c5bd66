"""The tutorial is true: its commands run one after the other in an empty folder, and print what it says."""

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parent.parent / "docs" / "tutorial.md"
PARTS = re.findall(r"^## (\d+)\.|^```(sh|text)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
ROUNDED = 0.02  # by which another processor's arithmetic may differ


def plain(text: str) -> str:
    """Without the lines of tables, and with single spaces."""
    return " ".join(re.sub(r"[^\x00-\x7F]", " ", text).split())


def is_printed(line: str, printed: str) -> bool:
    """Whether a line is there, its words exactly and its numbers nearly."""
    words = NUMBER.split(line)
    pattern = rf"({NUMBER.pattern})".join(re.escape(word) for word in words)
    said = [float(number) for number in NUMBER.findall(line)]
    found = [[float(number) for number in match.groups()] for match in re.finditer(pattern, printed)]
    return any(all(map(is_near, numbers, said)) for numbers in found)


def is_near(number: float, said: float) -> bool:
    return math.isclose(number, said, rel_tol=ROUNDED, abs_tol=ROUNDED if said else 0.0)


def test_a_line_is_found_by_its_words_and_numbers():
    printed = plain("┃ fan │ 90.04 ┃\n10 recordings scored, 1 alarm(s)")
    assert is_printed("fan 90.0", printed)
    assert not is_printed("fan 80.0", printed)
    assert is_printed("10 recordings scored, 1 alarm(s)", printed)
    assert not is_printed("10 recordings scored, 2 alarm(s)", printed)
    assert not is_printed("pump 90.0", printed)


def test_the_tutorial_has_ten_steps_and_a_command_in_each():
    steps = [step for step, _, _ in PARTS if step]
    assert steps == [str(number) for number in range(1, 11)]
    kinds = "".join(kind[0] if kind else "#" for _, kind, _ in PARTS)
    assert all(step.startswith("s") for step in kinds.split("#")[1:])


@pytest.mark.slow
def test_every_command_of_the_tutorial_runs_and_prints_what_the_page_says(real_data: Path, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "SOUNDNESS_DATA": str(real_data.resolve()), "COLUMNS": "200"}
    printed = ""
    for _, kind, block in PARTS:
        if kind == "sh":
            done = subprocess.run(
                ["sh", "-ec", block], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{block}{done.stderr}"
            printed = plain(done.stdout + "\n" + done.stderr)
        elif kind == "text":
            missing = [line for line in block.splitlines() if not is_printed(line, printed)]
            assert not missing, printed
    assert {"clip_00000002.html", "clip_00000002.png"} == {file.name for file in (tmp_path / "why").iterdir()}
    assert (tmp_path / "incoming" / "alarms.csv").is_file()
    assert (tmp_path / "report.html").is_file()
