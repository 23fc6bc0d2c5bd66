import csv

import pytest
import soundfile

import soundness
from soundness.errors import DataError
from soundness.monitoring.learning.answers import export_answers
from soundness.monitoring.store.records import Alarm, ClipRow
from soundness.monitoring.store.store import Store

HOUR_US = 3_600_000_000


@pytest.fixture
def store(tmp_path):
    """A store with an alarm that was a fault, one that was normal, one without an answer, and quiet clips."""
    found = Store.open(tmp_path / "data")
    audio = tmp_path / "data" / "audio" / "1.flac"
    audio.parent.mkdir()
    soundfile.write(audio, [0.1, 0.2] * 100, 16_000)
    with found.transaction() as transaction:
        transaction.add_sensor("pump 3", source="pcm:-", state="normal", now_us=0)
        transaction.add_detector(1, file="a", fingerprint="", installed_us=0, reason="")
        for number in range(60):
            transaction.add_clip(
                ClipRow(
                    sensor_id=1,
                    number=number + 1,
                    start_us=number * HOUR_US // 4,
                    seconds=10.0,
                    outcome="scored",
                    state="normal",
                    score=float(number % 12 == 4) + number / 100,
                    p_value=0.5,
                    is_anomalous=number % 12 == 4,
                    detector_id=1,
                    audio="audio/1.flac" if number in (4, 16) else "",
                )
            )
        for number, verdict in ((4, "fault"), (16, "normal"), (28, "")):
            at_us = number * HOUR_US // 4
            values = {"verdict": verdict, "label": "=bad belt!" if verdict == "fault" else "", "closed_by": "Ada"}
            transaction.add_alarm(
                Alarm(key=f"k{number}", sensor_id=1, kind="anomaly", raised_us=at_us, last_us=at_us + 10, **values)
            )
    yield found
    found.close()


def answers(folder):
    with (folder / "answers.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_answered_alarms_are_a_labelled_data_set_that_evaluate_reads(store, tmp_path):
    found = export_answers(store, tmp_path / "out")
    assert (found.n_anomalous, found.n_normal, found.notes) == (1, 1, ())
    rows = answers(tmp_path / "out")
    assert [(row["label"], row["answer"], row["person"]) for row in rows] == [
        ("anomaly", "fault", "Ada"),
        ("normal", "normal", "Ada"),
    ]
    assert rows[0]["file"] == "section_00_source_test_anomaly_00000_bad-belt.flac"
    assert not rows[0]["kind"].startswith("=")
    assert all((tmp_path / "out" / "data" / "pump 3" / "test" / row["file"]).is_file() for row in rows)
    evaluation = soundness.evaluate(tmp_path / "out" / "scores")
    assert evaluation.mean_auc == 0.0  # the fault scored lower than what was normal


def test_quiet_clips_far_from_any_alarm_are_normal_where_they_are_wanted(store, tmp_path):
    found = export_answers(store, tmp_path / "out", quiet_clips=True)
    quiet = [row for row in answers(tmp_path / "out") if row["answer"] == ""]
    assert found.n_normal == 1 + len(quiet)
    numbers = [round(float(row["score"]) * 100) for row in quiet]
    assert 16 not in numbers  # it was answered
    assert not {0, 8, 24, 32} & set(numbers)  # within an hour of a fault, and of an alarm without an answer
    assert {9, 17, 23, 33} <= set(numbers)
    assert 40 not in numbers  # anomalous, though no alarm
    assert found.notes[0].startswith(f"{len(quiet)} of {len(quiet) + 2} clips have a score and no audio")


def test_nothing_to_export_and_a_folder_that_is_not_empty_are_refused(store, tmp_path):
    with store.transaction() as transaction:
        for alarm_id in (1, 2, 3):
            transaction.update_alarm(alarm_id, verdict="ignored")
    with pytest.raises(DataError, match="no alarm was answered with fault or normal yet"):
        export_answers(store, tmp_path / "out")
    with pytest.raises(DataError, match="expected an empty folder, or none"):
        export_answers(store, tmp_path / "data")
