"""The state that is shown: nothing that reassures while the sound of a sensor is not recorded."""

import threading

import pytest

from soundness.errors import OutputError
from soundness.monitoring.capture.clip_files import ClipFolder
from soundness.monitoring.capture.sensor import LiveSensor, Work
from soundness.monitoring.configuration.monitor_settings import SensorSettings
from soundness.monitoring.live.events import Events
from soundness.monitoring.live.shown_state import ShownState
from soundness.monitoring.store.retrying import is_of_disk, retried


@pytest.fixture
def standing(tmp_path):
    own = SensorSettings(name="pump", source="pcm:-")
    places = {"base": tmp_path, "first_us": None, "next_us": None, "end_us": None, "number": 0}
    sensor = LiveSensor(
        settings=own, sensor_id=1, files=ClipFolder(tmp_path, "1"), address=own.source, ready=lambda _: None, **places
    )
    return ShownState(sensor, Events())


def told(standing):
    """States that were told, with their notes."""
    found = []
    standing.events.call(lambda event: found.append((event.content["state"], event.content["note"])))
    return found


@pytest.mark.parametrize("state", ["normal", "learning", "drifting"])
@pytest.mark.parametrize(("what", "words"), [("unwritten", "sound cannot"), ("unrecorded", "the store cannot")])
def test_what_reassures_is_not_shown_while_nothing_is_recorded(standing, state, what, words):
    found = told(standing)
    standing.set(state, "as usual")
    setattr(standing.sensor, what, "No space left on device")
    standing.tell()
    standing.tell()
    setattr(standing.sensor, what, "")
    standing.tell()
    shown = ("waiting", f"not recorded now: {words} be written: No space left on device")
    assert found == [(state, "as usual"), shown, (state, "as usual")]


@pytest.mark.parametrize("state", ["alarm", "fault"])
def test_an_alarm_stays_shown(standing, state):
    standing.set(state, "a tone")
    standing.sensor.unrecorded = "full"
    assert standing.shown() == (state, "a tone")
    assert standing.problem == "the store cannot be written: full"


def test_clips_that_wait_long_are_not_well(standing, monkeypatch):
    monkeypatch.setattr("soundness.monitoring.live.shown_state._LONG_SECONDS", 0.0)
    standing.set("normal", "")
    assert standing.shown() == ("normal", "")
    standing.sensor.pending.append(Work(number=1))
    assert standing.shown()[0] == "waiting"
    standing.sensor.done()
    assert standing.shown() == ("normal", "")


def test_a_disk_that_is_full_for_a_while_is_told_and_written_again(caplog):
    found, tries = [], []

    def write():
        tries.append(1)
        if len(tries) < 3:
            raise OutputError("x.flac: cannot be written") from OSError(28, "No space left on device")
        return "written"

    result = retried(write, told=found.append, may_pass=is_of_disk, stop=threading.Event())
    assert (result, found) == ("written", ["No space left on device"] * 2 + [""])
    assert [line.partition(": ")[2] for line in caplog.messages] == [
        "cannot be written; trying again",
        "cannot be written: written again",
    ]
