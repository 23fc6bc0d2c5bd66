import os
from pathlib import Path

import numpy as np
import pytest

from soundness.data.clips import Clip, Part
from soundness.screening.time_order import time_order, wander_p_value


def clips(*names):
    return [Clip(Path("pump") / name, "pump", "train") for name in names]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("rec_10.wav", "rec_9.wav", "rec_2.wav"), [2, 1, 0]),
        (("b_20240301_120000.wav", "a_20240301_115959.5.wav", "c_2024-02-29T23:59:59.wav"), [2, 1, 0]),
        (("2024-03-02/1.wav", "2024-03-01/2.wav", "2024-03-01/10.wav"), [1, 2, 0]),
        (("day2/5.wav", "day1/7.wav", "day10/1.wav"), [1, 0, 2]),
    ],
)
def test_names_give_an_order(names, expected):
    order, source = time_order(clips(*names))
    assert order.tolist() == expected
    assert source == "names"


def test_numbers_of_the_challenge_carry_no_time():
    names = [f"section_00_source_train_normal_{index:04d}_car_1.wav" for index in range(3)]
    assert time_order(clips(*names)) is None
    assert time_order(clips("normal_id_00_00000003.wav", "normal_id_00_00000004.wav")) is None


def test_files_give_an_order_where_names_do_not(tmp_path):
    own = []
    for name, changed in (("b.wav", 100), ("a.wav", 300), ("c.wav", 200)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (changed, changed))
        own.append(Clip(tmp_path / name, "pump", "train"))
    order, source = time_order(own)
    assert order.tolist() == [0, 2, 1]
    assert source == "times of the files"
    os.utime(tmp_path / "c.wav", (300, 300))
    assert time_order(own) is None


def test_parts_of_a_recording_are_in_order():
    path = Path("pump") / "long_1.wav"
    parts = [Clip(path, "pump", "train", part=Part(start_seconds=at, seconds=10.0)) for at in (20.0, 0.0, 10.0)]
    order, _ = time_order(parts)
    assert order.tolist() == [1, 2, 0]


def test_a_walk_is_told_from_noise():
    rng = np.random.default_rng(0)
    steps = rng.standard_normal((60, 30))
    assert wander_p_value(np.cumsum(steps, axis=0), rng=rng) < 0.005
    p_values = [wander_p_value(rng.standard_normal((60, 30)), rng=rng) for _ in range(20)]
    assert 0.2 < np.mean(p_values) < 0.8
