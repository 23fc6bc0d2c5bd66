"""A machine with normal and anomalous recordings, and a detector of it."""

from pathlib import Path

import numpy as np
import pytest

from command_line import soundness
from recordings import write
from soundness.evaluation.score_files import ClipScore, write_scores


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


@pytest.fixture
def systems(tmp_path: Path) -> tuple[Path, Path]:
    """Scores of a better and a worse system, of names as in 2021."""
    rng = np.random.default_rng(0)
    names = [
        f"section_00_{domain}_test_{label}_{number:04}.wav"
        for domain in ("source", "target")
        for label in ("normal", "anomaly")
        for number in range(20)
    ]
    noise = dict(zip(names, rng.normal(size=len(names)), strict=True))
    for folder, gain in (("better", 3.0), ("worse", 0.5)):
        rows = [ClipScore(name, float(noise[name] + gain * ("anomaly" in name)), 0) for name in names]
        write_scores(tmp_path / folder, "fan", "section_00", rows)
    return tmp_path / "better", tmp_path / "worse"
