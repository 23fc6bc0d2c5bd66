"""Arrays of .mat files are those that SciPy wrote, and damage to a file ends in one line and not in a crash."""

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from soundness.audio.reading import read_info
from soundness.audio.tables.matlab import read_matlab
from soundness.errors import AudioError
from soundness.settings.system import AudioSettings

ARRAYS = {
    "doubles": np.linspace(-1, 1, 50),
    "singles": np.linspace(-1, 1, 50, dtype=np.float32),
    "shorts": np.arange(-25, 25, dtype=np.int16),
    "bytes": np.arange(50, dtype=np.uint8),
    "wide": np.arange(50, dtype=np.int64) << 33,
}


@pytest.mark.parametrize("is_compressed", [True, False])
def test_arrays_of_all_kinds_come_back(tmp_path: Path, is_compressed: bool) -> None:
    path = tmp_path / "a.mat"
    nested = {"sr": 97_656.0, "run": {"gs": np.arange(60.0).reshape(20, 3)}}
    others = {"text": "pump", "cells": np.array([1.0, "x"], dtype=object), "complex_": np.ones(50) * 1j}
    scipy.io.savemat(path, ARRAYS | {"bearing": nested} | others, do_compression=is_compressed)
    with path.open("rb") as file:
        columns = read_matlab(file, path).columns
    for name, expected in ARRAYS.items():
        assert columns[name].dtype == expected.dtype or name == "doubles"
        assert np.array_equal(columns[name], expected)
    assert columns["bearing.sr"] == [97_656.0]
    for index in range(3):
        assert np.array_equal(columns[f"bearing.run.gs[{index}]"], nested["run"]["gs"][:, index])


def test_a_thousand_damaged_files_are_refused_or_read_and_none_ends_the_process(tmp_path: Path) -> None:
    path, rng = tmp_path / "a.mat", np.random.default_rng(0)
    scipy.io.savemat(path, {"bearing": {"sr": 1000.0, "gs": np.arange(40.0)}, "x": np.arange(40, dtype=np.int16)})
    content, n_refused = path.read_bytes(), 0
    for _ in range(1_000):
        damaged = bytearray(content)
        for at in rng.integers(0, len(damaged), rng.integers(1, 6)):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            read_info(path, audio=AudioSettings(rate=1000.0))
        except AudioError:
            n_refused += 1
    assert 100 < n_refused < 1_000
