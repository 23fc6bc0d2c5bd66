"""A machine with normal and anomalous recordings, and a detector of it."""

from pathlib import Path

import pytest

from command_line import soundness
from recordings import write


@pytest.fixture
def pump(tmp_path: Path) -> Path:
    folder = tmp_path / "pump"
    for index in range(6):
        write(folder / "normal" / f"{index}.wav", seed=index)
    for index in range(3):
        write(folder / "abnormal" / f"bad_{index}.wav", seed=100 + index)
    return folder


@pytest.fixture
def run(tmp_path: Path, pump: Path) -> Path:
    out = tmp_path / "run"
    assert soundness("train", pump, "--out", out, "--system", "log-mel-knn", "-q").exit_code == 0
    return out
