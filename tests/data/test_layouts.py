"""Layouts of the challenge of every year, and a user's own."""

from pathlib import Path

import pytest

from folders import counts, touch
from soundness.data.clips import Clip, describe_clip
from soundness.data.datasets import (
    LAYOUTS,
    FolderLayout,
    Place,
    list_clips,
    open_dataset,
)
from soundness.data.finding import list_audio
from soundness.errors import DataError

# files of each place, and the clip expected of each: split, section, domain, label, attributes, kind
YEARS = {
    "2020": {
        "train/normal_id_02_00000000.wav": ("train", "id_02", None, "normal", "", None),
        "test/anomaly_id_02_00000001.wav": ("test", "id_02", None, "anomaly", "", None),
        "test/id_04_00000002.wav": ("test", "id_04", None, None, "", None),
    },
    "2021": {
        "train/section_01_source_train_normal_0000_n_A.wav": (
            "train", "section_01", "source", "normal", "n_A", None,
        ),
        "source_test/section_01_source_test_anomaly_0000.wav": (
            "test", "section_01", "source", "anomaly", "", None,
        ),
        "target_test/section_01_target_test_normal_0000.wav": (
            "test", "section_01", "target", "normal", "", None,
        ),
        "target_test/section_01_target_test_0001.wav": ("test", "section_01", "target", None, "", None),
        "target_test/section_01_0002.wav": ("test", "section_01", "target", None, "", None),
    },
    "2022": {
        "train/section_05_target_train_normal_0000_vel_6.wav": (
            "train", "section_05", "target", "normal", "vel_6", None,
        ),
        "test/section_05_test_0000.wav": ("test", "section_05", None, None, "", None),
    },
    "2025": {
        "train/section_00_source_train_normal_0000_noAttribute.wav": (
            "train", "section_00", "source", "normal", "", None,
        ),
        "test/section_00_0001.wav": ("test", "section_00", None, None, "", None),
        "supplemental/section_00_machine_source_0000_noAttribute.wav": (
            "supplemental", "section_00", "source", None, "", "machine",
        ),
        "supplemental/section_00_noise_supplemental_normal_0000.wav": (
            "supplemental", "section_00", None, "normal", "", "noise",
        ),
    },
    "2026": {
        "train/section_00_source_train_normal_0000_.wav": (
            "train", "section_00", "source", "normal", "", None,
        ),
        "test/section_00_target_test_anomaly_0000_.wav": (
            "test", "section_00", "target", "anomaly", "", None,
        ),
        "supplemental/section_00_machine_0001_.wav": (
            "supplemental", "section_00", None, None, "", "machine",
        ),
    },
}  # fmt: skip


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize("above", ["", "fan", "raw/fan", "dev_data/fan", "dev_data/raw/fan", "x/dev_data/raw/fan"])
def test_a_year_s_layout_is_read_from_its_root_or_any_folder_below(tmp_path: Path, year: str, above: str) -> None:
    root = tmp_path / ("set" if above else "fan")
    touch(root / above, *YEARS[year], "train/notes.txt", "readme.md")
    dataset = open_dataset(root)
    assert list(dataset.machines) == ["fan"]
    machine = dataset.machines["fan"]
    assert machine.root == root / above
    assert set(machine.clips) == {Clip(root / above / name, "fan", *fields) for name, fields in YEARS[year].items()}
    assert dataset.problems == ()


@pytest.mark.parametrize(("good", "bad"), [("normal", "abnormal"), ("normal", "anomaly"), ("Normal", "Abnormal")])
def test_an_own_folder_trains_on_normal_and_tests_on_abnormal(tmp_path: Path, good: str, bad: str) -> None:
    root = touch(tmp_path / "pump", f"{good}/0.wav", f"{good}/1.wav", f"{bad}/0.wav", "supplemental/noise.wav")
    dataset = open_dataset(root)
    assert set(dataset.machines["pump"].clips) == {
        Clip(root / good / "0.wav", "pump", "train", label="normal"),
        Clip(root / good / "1.wav", "pump", "train", label="normal"),
        Clip(root / bad / "0.wav", "pump", "test", label="anomaly"),
        Clip(root / "supplemental/noise.wav", "pump", "supplemental", supplemental="noise"),
    }
    assert dataset.problems == ()


def test_an_own_folder_needs_no_abnormal_recordings(tmp_path: Path) -> None:
    root = touch(tmp_path / "pump", "normal/0.wav")
    assert counts(open_dataset(root).machines["pump"]) == (1, 0, 0)


def test_a_plain_folder_holds_normal_recordings(tmp_path: Path) -> None:
    root = touch(tmp_path / "pump", "monday.wav", "tuesday.ogg")
    machine = open_dataset(root).machines["pump"]
    assert [(clip.split, clip.label) for clip in machine.clips] == [("train", "normal")] * 2


def test_a_folder_called_abnormal_is_not_taken_for_normal_recordings(tmp_path: Path) -> None:
    dataset = open_dataset(touch(tmp_path / "abnormal", "0.wav"))
    assert dataset.machines["abnormal"].train[0].label == "anomaly"
    assert len(dataset.problems) == 1


NESTED = {
    "normal": (["normal/2024-03-01/a.wav", "normal/b.wav", "abnormal/day1/b.wav"], (2, 1, 0)),
    "abnormal": (["normal/a.wav", "Abnormal/2024/03/01/b.wav"], (1, 1, 0)),
    "train": (["train/day1/a.wav", "train/day2/a.wav", "test/day1/b.wav"], (2, 1, 0)),
    "test": (["train/a.wav", "test/2024-03/b.wav"], (1, 1, 0)),
    "target_test": (["train/a.wav", "source_test/b.wav", "target_test/march/b.wav"], (1, 2, 0)),
    "supplemental": (["train/a.wav", "supplemental/KW09/noise.wav"], (1, 0, 1)),
}


@pytest.mark.parametrize(("names", "expected"), NESTED.values(), ids=list(NESTED))
def test_recordings_in_folders_by_time_below_a_split_s_folder_are_read(
    tmp_path: Path, names: list[str], expected: tuple[int, int, int]
) -> None:
    touch(tmp_path / "pump", *names)
    for path in (tmp_path / "pump", tmp_path):
        dataset = open_dataset(path)
        assert {name: counts(machine) for name, machine in dataset.machines.items()} == {"pump": expected}
        assert dataset.problems == ()
    assert {clip.key for clip in open_dataset(tmp_path).machines["pump"].clips} == {f"pump/{name}" for name in names}


def test_named_folders_below_a_split_s_folder_count_as_one_machine_and_are_named(tmp_path: Path) -> None:
    root = touch(tmp_path / "plant", "normal/fan/a.wav", "normal/pump/a.wav", "abnormal/fan/b.wav")
    dataset = open_dataset(root)
    assert counts(dataset.machines["plant"]) == (2, 1, 0)
    (problem,) = dataset.problems
    assert problem.message.startswith("recordings in folders below it (fan, pump) count as recordings of this one")


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        *[("good", "defective"), ("OK", "NOK"), ("healthy", "broken"), ("normal", "faulty"), ("No fault", "fault")],
        *[("i.O.", "n.i.O."), ("normal_2024", "Fault_01"), ("fault-free", "Bearing fault 3"), ("gut", "defekt")],
    ],
)
def test_other_names_of_normal_and_anomalous_folders_are_understood(tmp_path: Path, good: str, bad: str) -> None:
    root = touch(tmp_path / "fan", f"{good}/a.wav", f"{good}/b.wav", f"{bad}/c.wav")
    dataset = open_dataset(root)
    assert counts(dataset.machines["fan"]) == (2, 1, 0)
    assert dataset.machines["fan"].test[0].label == "anomaly"
    assert dataset.problems == ()


def test_recordings_beside_a_folder_of_anomalous_ones_are_normal(tmp_path: Path) -> None:
    machine = open_dataset(touch(tmp_path / "fan", "a.wav", "b.wav", "faulty/c.wav")).machines["fan"]
    assert counts(machine) == (2, 1, 0)
    assert {clip.path.name: clip.label for clip in machine.clips} == {
        "a.wav": "normal",
        "b.wav": "normal",
        "c.wav": "anomaly",
    }
    (problem,) = open_dataset(touch(tmp_path / "pump", "a.wav", "normal/b.wav", "faulty/c.wav")).problems
    assert "1 recordings in it are not read, e.g. a.wav" in problem.message


def test_a_folder_below_a_split_s_folder_may_state_the_label(tmp_path: Path) -> None:
    root = touch(tmp_path / "fan", "train/good/a.wav", "test/good/b.wav", "test/broken/c.wav", "test/scratch/d.wav")
    clips = open_dataset(root).machines["fan"].clips
    assert {clip.path.name: clip.label for clip in clips} == {
        "a.wav": "normal",
        "b.wav": "normal",
        "c.wav": "anomaly",
        "d.wav": None,
    }


def test_a_folder_of_a_name_that_nobody_knows_is_named(tmp_path: Path) -> None:
    (problem,) = open_dataset(touch(tmp_path / "fan", "normal/a.wav", "cavitation/b.wav")).problems
    assert problem.message == "1 recordings in it (cavitation) are not read, e.g. cavitation/b.wav"


def test_recordings_in_folders_by_day_are_of_the_machine_above(tmp_path: Path) -> None:
    touch(tmp_path, "pump/2024-03-01/a.wav", "pump/2024-03-02/a.wav", "fan/a.wav", "fan/day1/b.wav")
    touch(tmp_path, "2024-03-01/valve/a.wav", "2024-03-02/valve/a.wav", "2024-03-02/box/normal/a.wav")
    dataset = open_dataset(tmp_path)
    assert {name: counts(machine) for name, machine in dataset.machines.items()} == {
        "box": (1, 0, 0),
        "fan": (2, 0, 0),
        "pump": (2, 0, 0),
        "valve": (2, 0, 0),
    }
    assert dataset.problems == ()


def test_a_folder_with_recordings_is_one_machine_with_all_that_is_below(tmp_path: Path) -> None:
    dataset = open_dataset(touch(tmp_path / "fan", "a.wav", "evening/b.wav", "morning/c.wav"))
    assert counts(dataset.machines["fan"]) == (3, 0, 0)
    (problem,) = dataset.problems
    assert "(evening, morning) count as recordings of this one machine" in problem.message


@pytest.mark.parametrize("name", ["normal", "test", "Train"])
def test_a_folder_called_like_a_split_may_be_given_itself(tmp_path: Path, name: str) -> None:
    flat, nested = touch(tmp_path / "a" / name, "0.wav"), touch(tmp_path / "b" / name, "day1/0.wav")
    assert counts(open_dataset(flat).machines[name]) == (1, 0, 0)
    assert counts(open_dataset(nested).machines[name]) == (1, 0, 0)
    assert [clip.path for clip in list_clips([flat, nested])] == [flat / "0.wav", nested / "day1" / "0.wav"]


class DatedLayout:
    """Folders by date, such as ``press/2026-03-01/*.wav``, the last of them to test on."""

    def read(self, folder: Path) -> list[Clip] | None:
        days = sorted(day for day in folder.glob("2???-??-??") if day.is_dir())
        return [
            describe_clip(path, machine_type=folder.name, split="test" if day == days[-1] else "train")
            for day in days
            for path in list_audio(day)
        ]


def test_a_layout_of_ones_own_is_asked_first(tmp_path: Path) -> None:
    root = touch(tmp_path / "press", "2026-03-01/a.wav", "2026-03-01/b.wav", "2026-03-02/a.wav", "stray.wav")
    dataset = open_dataset(root, layouts={**LAYOUTS, "dated": DatedLayout()})
    assert counts(dataset.machines["press"]) == (2, 1, 0)
    clips = list_clips([root], layouts={**LAYOUTS, "dated": DatedLayout()})
    assert [clip.path for clip in clips] == [root / "2026-03-02" / "a.wav"]


def test_a_layout_of_other_folder_names_needs_no_code(tmp_path: Path) -> None:
    root = touch(tmp_path / "press", "ok/a.wav", "ok/b.wav", "broken/a.wav")
    layout = FolderLayout({"ok": Place("train", label="normal"), "broken": Place("test", label="anomaly")})
    machine = open_dataset(root, layouts={**LAYOUTS, "ok-broken": layout}).machines["press"]
    assert counts(machine) == (2, 1, 0)
    assert {clip.label for clip in machine.test} == {"anomaly"}


def test_a_layout_that_is_not_given_is_not_tried(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    with pytest.raises(DataError, match="no audio found"):
        open_dataset(tmp_path, layouts={"dcase": LAYOUTS["dcase"]})
