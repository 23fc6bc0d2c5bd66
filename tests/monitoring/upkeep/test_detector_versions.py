"""Versions of a learned detector: each has a file of its own, and those that answers can be undone to stay."""

import os
import time
from pathlib import Path

import pytest

from soundness.monitoring.store.store import Store
from soundness.monitoring.upkeep.detector_versions import KEPT_BEFORE, delete_old_versions, file_of, next_file


@pytest.fixture
def store(tmp_path):
    own = Store.open(tmp_path / "data")
    with own.transaction() as transaction:
        transaction.add_sensor("pump", source="pcm:-", state="normal", now_us=0)
    yield own
    own.close()


def used(store, file, **details):
    """A detector that is in use from now on."""
    with store.transaction() as transaction:
        values = {"fingerprint": Path(file).name, "installed_us": 0, "reason": "", "details": details}
        return transaction.add_detector(1, file=str(file), **values)


def numbers(store):
    return sorted(int(path.stem) for path in store.folder.glob("detectors/1/*.soundness"))


def test_two_jobs_never_write_the_same_file(store):
    files = [next_file(store, 1) for _ in range(3)]
    assert [file.name for file in files] == ["0001.soundness", "0002.soundness", "0003.soundness"]


def test_the_number_of_a_version_that_was_in_use_is_not_taken_again(store):
    used(store, "/gone/detectors/1/0007.soundness")
    assert next_file(store, 1).name == "0008.soundness"


def test_the_versions_that_answers_can_be_undone_to_stay_and_the_others_are_deleted_after_a_day(store):
    parent = used(store, "/plant/pump.soundness")
    for _ in range(9):
        parent = used(store, next_file(store, 1), parent=parent)
    failed, young = next_file(store, 1), next_file(store, 1)
    for path in store.folder.glob("detectors/1/*"):
        if path != young:
            os.utime(path, (time.time() - 90_000, time.time() - 90_000))
    delete_old_versions(store, 1)
    assert numbers(store) == [*range(9 - KEPT_BEFORE, 10), int(young.stem)]
    assert not failed.exists()
    used(store, "/plant/pump.soundness")  # undone, and undone ...
    delete_old_versions(store, 1)
    assert numbers(store) == [int(young.stem)]


def test_a_version_is_found_where_the_store_has_been_moved_to(store, tmp_path):
    used(store, next_file(store, 1))
    used(store, "/plant/pump.soundness")
    learned, configured = store.detectors(1)
    moved = Store(store.engine, tmp_path / "moved")
    assert file_of(moved, learned) == tmp_path / "moved" / "detectors" / "1" / "0001.soundness"
    assert file_of(moved, configured) == Path("/plant/pump.soundness")
