"""The folders, names and tables of a factory data set, and that its bytes depend on nothing but the settings."""

import csv
import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from soundness.errors import OutputError
from soundness.synthetic import MACHINES, FactoryResult, make_data
from soundness.synthetic.machines import fault_kinds

TINY: dict[str, Any] = {
    "n_train": 4,
    "n_target_train": 1,
    "n_test_normal": 3,
    "n_test_anomaly": 12,
    "n_supplemental": 2,
    "seconds": 2.0,
    "n_workers": 1,
}
# The sum over all files of `TINY`. It changes when the sounds do: then figures on factory data made before no
# longer compare with those made after, and the changelog has to say so.
FROZEN_SHA256 = "f05d2267293fa9fd99ba86268982ef232f5db3bd482d18d98685212f8063afb2"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> FactoryResult:
    return make_data(tmp_path_factory.mktemp("factory") / "data", **TINY)


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.suffix in (".wav", ".csv"))
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_samples(path: Path) -> npt.NDArray[np.int16]:
    samples, _ = soundfile.read(path, dtype="int16")
    return samples


def test_every_machine_has_the_folders_and_numbers_of_clips_that_were_asked_for(made: FactoryResult) -> None:
    assert sorted(path.name for path in made.root.iterdir()) == sorted(MACHINES)
    for machine in MACHINES:
        counts = {split: len(list((made.root / machine / split).glob("*.wav"))) for split in ("train", "test")}
        assert counts == {"train": 4, "test": 15}
        assert len(list((made.root / machine / "supplemental").glob("*.wav"))) == 2
    assert made.n_clips == 7 * 21


def test_the_domains_get_their_share_of_clips(made: FactoryResult) -> None:
    names = [path.name for path in (made.root / "fan").rglob("section_00_*.wav")]
    starts = [re.sub(r"_\d{4}.*", "", name) for name in names]
    assert starts.count("section_00_source_train_normal") == 3
    assert starts.count("section_00_target_train_normal") == 1
    assert starts.count("section_00_source_test_normal") == 2
    assert starts.count("section_00_target_test_normal") == 1
    assert starts.count("section_00_source_test_anomaly") == 6
    assert starts.count("section_00_target_test_anomaly") == 6


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ("ToyCar", "train/section_00_source_train_normal_0000_car_B1_spd_31V_mic_1.wav"),
        ("ToyCar", "test/section_00_target_test_normal_0000_car_A1_spd_28V_mic_2.wav"),
        ("ToyTrain", "test/section_00_target_test_anomaly_0002_noAttribute.wav"),
        ("bearing", "train/section_00_target_train_normal_0000_noAttribute.wav"),
        ("fan", "train/section_00_source_train_normal_0001_n_B.wav"),
        ("gearbox", "train/section_00_target_train_normal_0000_pro_X.wav"),
        ("slider", "test/section_00_source_test_anomaly_0000_noAttribute.wav"),
        ("valve", "train/section_00_source_train_normal_0000_v1pat_00_v2pat_05.wav"),
        ("valve", "supplemental/section_00_machine_source_0001.wav"),
        ("gearbox", "supplemental/section_00_machine_0001_.wav"),
        ("fan", "supplemental/section_00_noise_supplemental_normal_0000.wav"),
    ],
)
def test_files_are_named_as_in_the_challenge(made: FactoryResult, machine: str, name: str) -> None:
    assert (made.root / machine / name).is_file()


def test_clips_are_mono_16_bit_files_of_the_length_asked_for(made: FactoryResult) -> None:
    for path in made.root.rglob("*.wav"):
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype, info.frames) == (16000, 1, "PCM_16", 32000)


def test_the_attribute_table_has_a_row_for_each_training_and_test_clip(made: FactoryResult) -> None:
    rows = read_rows(made.root / "ToyCar" / "attributes_00.csv")
    listed = {row["file_name"] for row in rows}
    clips = [path for split in ("train", "test") for path in (made.root / "ToyCar" / split).glob("*.wav")]
    assert listed == {path.relative_to(made.root).as_posix() for path in clips}
    for row in rows:
        attributes = "_".join(row[f"d{number}{letter}"] for number in (1, 2, 3) for letter in "pv")
        assert row["file_name"].endswith(f"_{attributes}.wav")


@pytest.mark.parametrize("machine", ["ToyTrain", "bearing", "slider"])
def test_hidden_attributes_are_in_no_table(made: FactoryResult, machine: str) -> None:
    rows = read_rows(made.root / machine / "attributes_00.csv")
    assert [list(row) for row in rows] == [["file_name"]] * 19


def test_the_source_has_several_conditions_and_the_target_others(tmp_path: Path) -> None:
    settings = {**TINY, "machines": ("fan", "valve"), "n_train": 8, "n_target_train": 4}
    root = make_data(tmp_path / "data", **settings).root
    for machine in settings["machines"]:
        names = [path.stem for path in (root / machine / "train").iterdir()]
        source = {name.split("_", 6)[6] for name in names if "_source_" in name}
        target = {name.split("_", 6)[6] for name in names if "_target_" in name}
        assert len(source) >= 2
        assert len(target) >= 2
        assert not source & target


def test_the_truth_lies_beside_the_data_and_nowhere_in_it(made: FactoryResult) -> None:
    assert made.truth == made.root.with_name("data_truth")
    assert {path.suffix for path in made.root.rglob("*") if path.is_file()} == {".wav", ".csv", ".txt"}
    assert {path.name for path in made.root.rglob("*.csv")} == {"attributes_00.csv"}
    assert not [path for path in made.root.rglob("*") if re.search(r"_(machine|noise)\.wav$", path.name)]


def test_machine_and_noise_stem_add_up_to_the_clip(made: FactoryResult) -> None:
    clips = [path for path in made.root.rglob("*.wav") if path.parent.name != "supplemental"]
    for path in clips:
        stem = made.truth / path.relative_to(made.root).with_suffix("")
        machine = read_samples(stem.with_name(f"{stem.name}_machine.wav")).astype(int)
        noise = read_samples(stem.with_name(f"{stem.name}_noise.wav")).astype(int)
        assert np.max(np.abs(machine + noise - read_samples(path))) <= 1
        assert np.std(machine) > 10
        assert np.std(noise) > 10
    assert len(list(made.truth.rglob("*.wav"))) == 2 * len(clips)


def test_the_table_of_anomalies_tells_kind_severity_band_and_time_of_each(made: FactoryResult) -> None:
    for machine in MACHINES:
        rows = read_rows(made.truth / machine / "anomalies.csv")
        listed = {row["file_name"] for row in rows}
        assert listed == {path.name for path in (made.root / machine / "test").glob("*_anomaly_*.wav")}
        assert {row["kind"] for row in rows} == set(fault_kinds(machine))
        for row in rows:
            assert 0.0 <= float(row["severity"]) <= 1.0
            assert 0.0 <= float(row["fmin"]) < float(row["fmax"]) <= 8000.0
            assert 0.0 <= float(row["start_seconds"]) < float(row["end_seconds"]) <= 2.0


def test_no_clip_is_silent_anywhere_or_clipped(made: FactoryResult) -> None:
    for path in made.root.rglob("*.wav"):
        samples = read_samples(path).astype(float)
        assert np.max(np.abs(samples)) < 0.91 * 32768
        assert np.min(np.std(samples.reshape(-1, 400), axis=1)) > 1.0


def test_the_number_of_workers_changes_no_byte(made: FactoryResult, tmp_path: Path) -> None:
    settings = {**TINY, "machines": ("valve", "fan"), "n_workers": 2}
    again = make_data(tmp_path / "data", **settings)
    for machine in settings["machines"]:
        assert digests(again.root / machine) == digests(made.root / machine)
        assert digests(again.truth / machine) == digests(made.truth / machine)


def test_a_script_needs_no_guard_of_its_main_module(tmp_path: Path) -> None:
    script = tmp_path / "no_guard.py"
    lines = "import soundness, sys", "soundness.make_data(sys.argv[1], machines=('fan',), seconds=1, n_workers=2)"
    script.write_text("\n".join(lines), encoding="utf-8")
    done = subprocess.run([sys.executable, script, tmp_path / "data"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list((tmp_path / "data" / "fan" / "train").iterdir())) > 0


def test_a_larger_data_set_holds_the_clips_of_a_smaller_one(made: FactoryResult, tmp_path: Path) -> None:
    larger = {"machines": ("slider",), "n_train": 7, "n_target_train": 3, "n_test_normal": 4, "n_test_anomaly": 14}
    again = make_data(tmp_path / "data", **{**TINY, **larger})
    clips = {name: digest for name, digest in digests(made.root / "slider").items() if name.endswith(".wav")}
    assert clips.items() <= digests(again.root / "slider").items()


def test_another_seed_gives_the_same_names_and_other_sounds(made: FactoryResult, tmp_path: Path) -> None:
    settings = {**TINY, "machines": ("gearbox",), "seed": 1}
    other = digests(make_data(tmp_path / "data", **settings).root / "gearbox")
    first = digests(made.root / "gearbox")
    assert list(other) == list(first)
    assert not {other[name] for name in other if name.endswith(".wav")} & set(first.values())


def test_the_sounds_are_frozen(made: FactoryResult) -> None:
    lines = [f"{name} {digest}\n" for root in (made.root, made.truth) for name, digest in digests(root).items()]
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == FROZEN_SHA256


def test_no_two_clips_are_the_same(made: FactoryResult) -> None:
    wavs = [digest for name, digest in digests(made.root).items() if name.endswith(".wav")]
    assert len(set(wavs)) == len(wavs)


def test_progress_counts_the_clips_of_each_machine(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    few = {"n_train": 2, "n_test_normal": 1, "n_test_anomaly": 0, "n_supplemental": 0}
    settings = {**TINY, **few, "machines": ("fan",), "seconds": 1.0}
    make_data(tmp_path / "data", **settings, progress=lambda *call: calls.append(call))
    assert calls == [("fan", 1, 3), ("fan", 2, 3), ("fan", 3, 3)]


@pytest.mark.parametrize("n_workers", [1, 2])
def test_an_interruption_leaves_no_trace(tmp_path: Path, n_workers: int) -> None:
    def interrupt(machine: str, n_done: int, n_clips: int) -> None:  # noqa: ARG001  # the callback's signature
        raise KeyboardInterrupt

    settings = {**TINY, "machines": ("fan",), "n_workers": n_workers}
    with pytest.raises(KeyboardInterrupt):
        make_data(tmp_path / "data", **settings, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.txt").write_text("keep me")
    with pytest.raises(OutputError, match="data: expected an empty folder"):
        make_data(tmp_path / "data", **TINY)


def test_a_truth_folder_that_holds_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data_truth" / "fan").mkdir(parents=True)
    with pytest.raises(OutputError, match="data_truth: expected an empty folder"):
        make_data(tmp_path / "data", **TINY)


def test_overwriting_replaces_the_machines_that_are_made_and_nothing_else(tmp_path: Path) -> None:
    settings = {**TINY, "machines": ("fan",)}
    make_data(tmp_path / "data", **settings)
    for place in ("data/fan/train", "data/mine"):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "old.wav").write_text("old")
    make_data(tmp_path / "data", **settings, overwrite=True)
    assert not (tmp_path / "data" / "fan" / "train" / "old.wav").exists()
    assert (tmp_path / "data" / "mine" / "old.wav").read_text() == "old"
    assert len(list((tmp_path / "data" / "fan" / "train").iterdir())) == 4


@pytest.mark.parametrize("foreign", ["data/fan", "data_truth/fan"])
def test_overwriting_replaces_nothing_that_the_factory_did_not_make(tmp_path: Path, foreign: str) -> None:
    make_data(tmp_path / "data", **{**TINY, "machines": ("bearing",)})
    before = digests(tmp_path)
    (tmp_path / foreign / "train").mkdir(parents=True)
    (tmp_path / foreign / "train" / "real.wav").write_text("real")
    settings = {**TINY, "machines": ("bearing", "fan")}
    with pytest.raises(OutputError, match=f"{tmp_path / foreign}: not replaced; it was not made by make-data"):
        make_data(tmp_path / "data", **settings, overwrite=True)
    assert (tmp_path / foreign / "train" / "real.wav").read_text() == "real"
    assert {name: sum_ for name, sum_ in digests(tmp_path).items() if name in before} == before


def test_the_truth_cannot_lie_within_the_data(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="truth must lie outside"):
        make_data(tmp_path / "data", **TINY, truth=tmp_path / "data" / "truth")


def test_the_truth_can_be_put_elsewhere(tmp_path: Path) -> None:
    settings = {**TINY, "machines": ("bearing",)}
    result = make_data(tmp_path / "data", **settings, truth=tmp_path / "far" / "truth")
    assert result.truth == tmp_path / "far" / "truth"
    assert (tmp_path / "far" / "truth" / "bearing" / "anomalies.csv").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "far"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(OutputError, match="it is a file"):
        make_data(tmp_path / "data", **TINY)
