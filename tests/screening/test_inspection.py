"""Every clip of a data set measured before training: figures worked out by hand, and each kind of problem."""

import json
import math
import os
from pathlib import Path
from threading import active_count

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from soundness.audio.reading import read_waveform
from soundness.data.datasets import Problem
from soundness.errors import AudioError
from soundness.screening.inspection import COLUMNS, Inspection, Range, SplitReport, inspect, table_rows
from soundness.settings.system import LogMelSettings

RATE = 16_000


def tone(seconds: float = 0.1, peak: float = 0.5, rate: int = RATE) -> NDArray[np.float64]:
    """A sine of 1 kHz, whose level is its peak's less 3.01 dB."""
    return peak * np.sin(2 * math.pi * 1000 * np.arange(round(seconds * rate)) / rate)


def wav(path: Path, samples: NDArray[np.float64], rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return path


def machine(root: Path, n_source: int = 3, n_target: int = 1) -> Path:
    """A machine's folder with which nothing is wrong."""
    for domain, n_clips in (("source", n_source), ("target", n_target)):
        for i in range(n_clips):
            wav(root / f"train/section_00_{domain}_train_normal_{i:04d}_n_A.wav", tone())
        for label in ("normal", "anomaly"):
            wav(root / f"test/section_00_{domain}_test_{label}_0000_n_B.wav", tone())
    return root


def report(inspection: Inspection, split: str) -> SplitReport:
    (found,) = (each for each in inspection.splits if each.split == split)
    return found


def test_nothing_is_wrong_with_good_data(tmp_path: Path) -> None:
    assert inspect(machine(tmp_path / "fan")).problems == ()


def test_a_report_counts_domains_labels_conditions_and_kinds(tmp_path: Path) -> None:
    root = machine(tmp_path / "fan", n_source=4, n_target=2)
    wav(root / "supplemental/section_00_noise_0000.wav", tone())
    wav(root / "supplemental/section_00_machine_0000.wav", tone())
    wav(root / "supplemental/section_00_machine_0001.wav", tone())
    inspection = inspect(root)
    train, test = report(inspection, "train"), report(inspection, "test")
    assert [each.split for each in inspection.splits] == ["train", "test", "supplemental"]
    assert train.n_clips == 6
    assert train.labels == {"source": {"normal": 4}, "target": {"normal": 2}}
    assert train.conditions == {"n_A": {"source": 4, "target": 2}}
    assert train.supplemental == {}
    assert test.labels == {"source": {"anomaly": 1, "normal": 1}, "target": {"anomaly": 1, "normal": 1}}
    assert test.conditions == {"n_B": {"source": 2, "target": 2}}
    assert report(inspection, "supplemental").supplemental == {"machine": 2, "noise": 1}


def test_a_report_measures_durations_rates_channels_and_levels(tmp_path: Path) -> None:
    root = tmp_path / "pump"
    for i, (seconds, peak) in enumerate([(0.1, 0.1), (0.2, 0.4), (0.6, 0.2), (1.1, 0.8)]):
        wav(root / f"{i}.wav", tone(seconds, peak))
    wav(root / "4.wav", np.zeros((16_000, 2)), 8_000)
    train = report(inspect(root), "train")
    assert train.total_seconds == pytest.approx(4.0)
    assert train.seconds == Range(0.1, 0.6, 2.0)
    assert train.sample_rates == {8_000: 1, 16_000: 4}
    assert train.channels == {1: 4, 2: 1}
    assert train.level_dbfs is not None
    median = (20 * math.log10(0.2 / math.sqrt(2)) + 20 * math.log10(0.4 / math.sqrt(2))) / 2
    assert train.level_dbfs.minimum == pytest.approx(20 * math.log10(0.1 / math.sqrt(2)), abs=1e-3)
    assert train.level_dbfs.median == pytest.approx(median, abs=1e-3)
    assert train.level_dbfs.maximum == pytest.approx(20 * math.log10(0.8 / math.sqrt(2)), abs=1e-3)
    assert (train.n_silent, train.n_clipped) == (1, 0)


def problems(root: Path) -> set[tuple[str, str, str]]:
    found = inspect(root).problems
    return {(str(each.path.relative_to(root)), each.message, each.severity) for each in found}


def test_an_unreadable_clip_is_a_problem_and_left_out_of_the_figures(tmp_path: Path) -> None:
    root = machine(tmp_path / "fan")
    broken = "train/section_00_source_train_normal_0009_n_A.wav"
    (root / broken).touch()
    assert problems(root) == {(broken, "empty file (0 bytes); expected audio", "error")}
    train = report(inspect(root), "train")
    assert (train.n_clips, train.n_unreadable, train.total_seconds) == (5, 1, pytest.approx(0.4))


def test_digital_silence_is_a_warning(tmp_path: Path) -> None:
    root = machine(tmp_path / "fan")
    silent = "train/section_00_source_train_normal_0009_n_A.wav"
    wav(root / silent, np.zeros(1_600))
    assert problems(root) == {(silent, "digital silence: all samples are zero", "warning")}
    wav(root / silent, np.full(1_600, 0.1))
    assert problems(root) == {(silent, "constant: all samples are equal, though not zero", "warning")}


def test_one_silent_channel_is_named(tmp_path: Path) -> None:
    root = tmp_path / "fan"
    for i in range(3):
        wav(root / f"{i}.wav", np.stack([tone(), tone() * (i != 1)], axis=1))
    assert problems(root) == {("1.wav", "digital silence in channel 1 of 0 to 1", "warning")}


def test_a_first_channel_that_nothing_is_plugged_into_is_named_with_what_to_do(tmp_path: Path) -> None:
    root = tmp_path / "fan"
    for i in range(3):
        wav(root / f"{i}.wav", np.stack([1e-4 * tone(), tone()], axis=1))
    message = (
        "channel 0, which is used, is 80 dB quieter than channel 1; --set audio.channel=1 uses channel 1"
        " (and 2 more train clips of fan)"
    )
    assert problems(root) == {("0.wav", message, "warning")}


def test_defects_of_one_kind_are_one_problem_though_their_figures_differ(tmp_path: Path) -> None:
    root = tmp_path / "fan"
    for i in range(3):
        wav(root / f"{i}.wav", tone() + 0.5 + 0.01 * i)
    message = "an offset of 0.5 (3 dB above the sound): the electronics' mean, no sound (and 2 more train clips of fan)"
    assert problems(root) == {("0.wav", message, "warning")}


def test_clipping_is_a_warning(tmp_path: Path) -> None:
    root = machine(tmp_path / "fan")
    clipped = "train/section_00_source_train_normal_0009_n_A.wav"
    wav(root / clipped, np.clip(tone(peak=4), -1, 1))
    message = "clipped: 200 times several samples in a row at the largest value, 1"
    assert problems(root) == {(clipped, message, "warning")}


def test_a_warning_of_many_clips_of_a_split_is_one_problem(tmp_path: Path) -> None:
    for name in ["run/normal/0", "run/normal/1", "run/normal/2", "run/abnormal/3", "rest/normal/4"]:
        wav(tmp_path / f"{name}.wav", np.clip(tone(peak=4), -1, 1))
    message = "clipped: 200 times several samples in a row at the largest value, 1"
    found = {problem for problem in problems(tmp_path) if "clipped" in problem[1]}
    assert found == {
        ("run/normal/0.wav", f"{message} (and 2 more train clips of run)", "warning"),
        ("run/abnormal/3.wav", message, "warning"),
        ("rest/normal/4.wav", message, "warning"),
    }


def test_a_recording_too_slow_for_the_default_detector_is_an_error(tmp_path: Path) -> None:
    root = machine(tmp_path / "fan")
    slow = "train/section_00_source_train_normal_0000_n_A.wav"
    wav(root / slow, tone(rate=8_000, seconds=0.2), 8_000)
    wav(root / "supplemental/noise.wav", tone(rate=8_000), 8_000)
    message = "recorded at 8000 Hz; a detector with the default log_mel.fmax of 8000 Hz refuses it"
    assert {problem for problem in problems(root) if problem[2] == "error"} == {(slow, message, "error")}
    with pytest.raises(AudioError, match="recorded at 8000 Hz"):
        read_waveform(root / slow, sample_rate=RATE, fmax=LogMelSettings().fmax)


@pytest.mark.parametrize(("rate", "n_samples", "n_heard"), [(16_000, 1023, 1023), (44_100, 2_821, 1_023)])
def test_a_clip_shorter_than_a_frame_is_an_error(tmp_path: Path, rate: int, n_samples: int, n_heard: int) -> None:
    samples = np.linspace(-0.5, 0.5, n_samples + 1)
    for i in range(3):
        wav(tmp_path / "fan" / f"{i}.wav", samples, rate)
    assert problems(tmp_path / "fan") == set()
    wav(tmp_path / "fan" / "1.wav", samples[1:], rate)
    message = f"{n_heard:,} samples at 16000 Hz; a detector with the default log_mel.n_fft of 1,024 refuses it"
    assert problems(tmp_path / "fan") == {("1.wav", message, "error")}
    with pytest.raises(AudioError, match=f"{n_heard:,} samples"):
        read_waveform(tmp_path / "fan" / "1.wav", sample_rate=RATE, fmax=8_000, min_samples=LogMelSettings().n_fft)


def test_an_absent_domain_is_a_warning_where_the_other_is_present(tmp_path: Path) -> None:
    root = machine(tmp_path / "fan", n_target=0)
    assert problems(root) == {(".", "no training clip of the target domain", "warning")}
    assert not problems(machine(tmp_path / "valve"))


def test_mixed_rates_and_channels_are_warnings_with_counts(tmp_path: Path) -> None:
    root = machine(tmp_path / "fan")
    wav(root / "train/section_00_source_train_normal_0009_n_A.wav", np.stack([tone(rate=44_100)] * 2, axis=1), 44_100)
    assert problems(root) == {
        (".", "sample rates differ: 8 at 16000 Hz, 1 at 44100 Hz", "warning"),
        (".", "channels differ: 8 with 1, 1 with 2", "warning"),
    }


def test_mixed_codings_are_a_warning_with_counts(tmp_path: Path) -> None:
    root = tmp_path / "fan"
    for index in range(4):
        wav(root / f"{index}.wav", tone())
    soundfile.write(root / "4.wav", tone(), RATE, subtype="ULAW")
    message = "codings differ, which change the sound: 4 as 16 bits or more, 1 as µ-law"
    assert (".", message, "warning") in problems(root)


@pytest.mark.parametrize("n_clips", [1, 2])
def test_fewer_than_three_training_clips_are_an_error(tmp_path: Path, n_clips: int) -> None:
    root = tmp_path / "fan"
    for i in range(n_clips):
        wav(root / f"{i}.wav", tone())
    message = f"{n_clips} readable training clips; training needs at least 3"
    assert problems(root) == {(".", message, "error")}
    wav(root / "2.wav", tone())
    wav(root / "3.wav", tone())
    assert problems(root) == set()


def test_test_clips_without_labels_are_a_warning(tmp_path: Path) -> None:
    root = tmp_path / "fan"
    for name in ["train/a.wav", "train/b.wav", "train/c.wav", "test/d.wav"]:
        wav(root / name, tone())
    message = "no test clip is labelled; they can be scored, but not evaluated"
    assert problems(root) == {(".", message, "warning")}


def test_test_clips_of_one_label_are_a_warning(tmp_path: Path) -> None:
    root = tmp_path / "fan"
    for name in ["normal/a.wav", "normal/b.wav", "normal/c.wav", "abnormal/a.wav"]:
        wav(root / name, tone())
    message = "all labelled test clips are labelled anomaly; an evaluation needs both labels"
    assert problems(root) == {(".", message, "warning")}


def test_the_problems_of_the_data_set_itself_come_first(tmp_path: Path) -> None:
    root = machine(tmp_path / "fan")
    wav(root / "supplemental/what.wav", np.zeros(10))
    found = inspect(root).problems
    assert [each.path for each in found] == [root / "supplemental", root / "supplemental/what.wav"]
    assert all(isinstance(each, Problem) for each in found)


def test_progress_is_told_after_each_clip(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    root = machine(tmp_path / "fan")
    inspect(root, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 8) for i in range(1, 9)]


def test_the_table_has_a_cell_for_each_column_and_a_row_for_each_split(tmp_path: Path) -> None:
    root = machine(tmp_path / "fan")
    (root / "train/section_00_source_train_normal_0009_n_C.wav").touch()
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in table_rows(inspect(root))]
    assert rows[0] == {
        "machine": "fan",
        "split": "train",
        "clips": "5 (1 unreadable)",
        "domains": "4 source, 1 target",
        "labels": "5 normal",
        "conditions": "2: n_A, n_C",
        "supplemental": "",
        "total s": "0.4",
        "clip s": "0.1",
        "Hz": "16000",
        "channels": "1",
        "level dBFS": "-9.0",
    }
    assert [row["split"] for row in rows] == ["train", "test"]
    assert rows[1]["labels"] == "2 anomaly, 2 normal"


def test_what_is_not_known_leaves_a_cell_empty_and_a_spread_shows_three_figures(tmp_path: Path) -> None:
    for i in range(3):
        wav(tmp_path / "fan" / f"{i}.wav", tone((i + 1) * 0.1))
    (row,) = table_rows(inspect(tmp_path / "fan"))
    cells = dict(zip(COLUMNS, row, strict=True))
    assert (cells["domains"], cells["conditions"]) == ("", "")
    assert cells["clip s"] == "0.1 / 0.2 / 0.3"


def test_an_inspection_is_json(tmp_path: Path) -> None:
    root = machine(tmp_path / "fan")
    wav(root / "train/section_00_source_train_normal_0009_n_A.wav", np.zeros(1_600))
    content = json.loads(json.dumps(inspect(root).to_json(), allow_nan=False))
    assert content["root"] == str(root)
    assert content["problems"][0]["severity"] == "warning"
    assert content["splits"][0]["seconds"]["maximum"] == pytest.approx(0.1)
    assert content["splits"][0]["sample_rates"] == {"16000": 5}


# clips, seconds of all, rate and channels of each split, from the description of the data
REAL = {
    "mimii_fan": {("mimii_fan", "train"): (20, 200, 1), ("mimii_fan", "test"): (20, 200, 1)},
    "mimii_fan_8ch": {("mimii_fan_8ch", "train"): (1, 10, 8), ("mimii_fan_8ch", "test"): (1, 10, 8)},
    "dcase2020_slider": {("slider", "train"): (75, 750, 1), ("slider", "test"): (6, 60, 1)},
}


@pytest.mark.parametrize("name", REAL)
def test_real_data_sets_measure_what_their_description_says(real_data: Path, name: str) -> None:
    inspection = inspect(real_data / name)
    for each in inspection.splits:
        n_clips, seconds, n_channels = REAL[name][each.machine_type, each.split]
        assert (each.n_clips, each.n_unreadable) == (n_clips, 0)
        assert each.total_seconds == pytest.approx(seconds, rel=0.01)
        assert each.sample_rates == {16_000: n_clips}
        assert each.channels == {n_channels: n_clips}
    assert len(inspection.splits) == len(REAL[name])


def test_few_recordings_are_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    before, n_threads = active_count(), []
    inspect(machine(tmp_path / "fan", n_source=60), progress=lambda *_: n_threads.append(active_count() - before))
    assert max(n_threads) <= 8
