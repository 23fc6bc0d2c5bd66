"""What the names of folders say: times, machines, and their order."""

from pathlib import PurePosixPath

import pytest

from soundness.data.folder_names import (
    ANOMALOUS_FOLDERS,
    is_clutter,
    is_time_folder,
    machine_folder,
    natural_key,
    state_name,
)

TIMES = (
    *("2024", "2024-03", "2024-03-01", "20240301", "2024_03_01", "2024-03-01_1200", "2024-03-01T06.30.00", "240301"),
    *("01.03.2024", "1-3-24", "2024-W09", "KW12", "day1", "week_3", "March", "2024-march", "Montag"),
)
MACHINES = (
    *("fan", "pump1", "id_00", "1", "12", "100000", "decanter", "marine", "separator", "sun", "mon", "hall 3", "M2024"),
    *("section_00", "raw", "left_mic", "2001", "987654"),
)


@pytest.mark.parametrize("name", TIMES)
def test_a_folder_of_a_time_is_known(name: str) -> None:
    assert is_time_folder(name)


@pytest.mark.parametrize("name", MACHINES)
def test_a_folder_of_a_machine_is_no_time(name: str) -> None:
    assert not is_time_folder(name)


@pytest.mark.parametrize(
    ("path", "machine"),
    [
        ("x.wav", ""),
        ("2024-03-01/x.wav", ""),
        ("2024/03/01/x.wav", ""),
        ("pump1/x.wav", "pump1"),
        ("pump1/2024/03/x.wav", "pump1"),
        ("2024-03-01/pump1/x.wav", "pump1"),
        ("hall/pump1/day1/x.wav", "hall/pump1"),
        ("3/x.wav", "3"),
        ("fan\nx/y.wav", "fan%0Ax"),
    ],
)
def test_a_machine_is_known_by_its_folder(path: str, machine: str) -> None:
    assert machine_folder(PurePosixPath(path)) == machine


def test_numbers_count_as_numbers_and_names_stay_apart() -> None:
    listed = ["a10", "a9", "a09", "b1", "a", "10", "9x", "-2"]
    assert sorted(listed, key=natural_key) == ["9x", "10", "-2", "a", "a09", "a9", "a10", "b1"]


def test_clutter_is_known_in_any_case() -> None:
    assert all(map(is_clutter, ("$Recycle.Bin", "@EADIR", ".hidden", "__MACOSX", "THUMBNAILS")))
    assert not any(map(is_clutter, ("trashing pump", "fan", "#1", "@work", "lost+found")))


@pytest.mark.parametrize(
    "name", ["Pump 3", "no_fault_found", "non-faulty", "default", "line 2", "train", "source_test"]
)
def test_a_name_that_states_no_anomaly_is_none_of_them(name: str) -> None:
    assert state_name(name) not in ANOMALOUS_FOLDERS
