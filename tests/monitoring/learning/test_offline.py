import shutil

import pytest
import soundfile

from learning_monitors import CLIP_SECONDS, humming, write_stream
from monitored import RATE
from soundness.errors import DataError, SettingsError
from soundness.monitoring.configuration.monitor_settings import load_configuration
from soundness.monitoring.learning.offline import learn_anew, learn_sensor
from soundness.monitoring.live.engine import Engine
from soundness.monitoring.store.records import Alarm
from soundness.monitoring.store.store import Store, new_key

CONFIGURATION = """
[[sensor]]
name = "pump"
source = "replay:stream.wav?speed=0"
clip_seconds = 0.5
learn = "20s"

[[sensor]]
name = "fan"
source = "pcm:-"
detector = "fan.soundness"
"""


@pytest.fixture
def configuration(tmp_path):
    """A configuration, and a folder of recordings: a long one, and two clips of which one does not belong."""
    (tmp_path / "m.toml").write_text(CONFIGURATION)
    (tmp_path / "normal").mkdir()
    write_stream(tmp_path / "normal" / "01.wav", 38, anomalous=(3,))
    for name, seed in (("02.wav", 8), ("03.wav", 9)):
        soundfile.write(tmp_path / "normal" / name, humming(CLIP_SECONDS, seed=seed), RATE)
    return tmp_path / "m.toml"


def test_a_sensor_learns_from_recordings_and_begins_at_once(configuration, tmp_path):
    said = []
    file = learn_sensor(configuration, "pump", tmp_path / "normal", say=said.append)
    assert file == tmp_path / "monitor-data" / "detectors" / "1" / "0001.soundness"
    assert said[:4] == ["pump: 40 clips", "pump: screening", "pump: training", "pump: calibrating"]
    assert any(line.startswith("pump: set aside: 01.wav at 1.5 s: ") for line in said)
    settings = load_configuration(configuration)
    settings = settings.model_copy(update={"sensor": settings.sensor[:1]})
    write_stream(tmp_path / "stream.wav", 5, seed=3)
    store = Store.open(tmp_path / "monitor-data")
    engine = Engine(settings, folder=tmp_path, store=store, n_workers=1)
    assert engine.load_detectors() == {}
    engine.run()
    assert [row.outcome for row in store.last_clips(1, 10)] == ["scored"] * 5
    assert engine.recorders["pump"].detector_id == 1
    store.close()


def test_a_sensor_that_has_learned_can_learn_anew(configuration, tmp_path):
    learn_sensor(configuration, "pump", tmp_path / "normal")
    assert learn_anew(configuration, "pump") == "20s"
    settings = load_configuration(configuration)
    settings = settings.model_copy(update={"sensor": settings.sensor[:1]})
    write_stream(tmp_path / "stream.wav", 45, seed=3)
    store = Store.open(tmp_path / "monitor-data")
    with store.transaction() as transaction:
        alarm = Alarm(key=new_key(), sensor_id=1, kind="anomaly", raised_us=1, last_us=2, reason="of before")
        transaction.add_alarm(alarm)
    engine = Engine(settings, folder=tmp_path, store=store, n_workers=1)
    assert engine.load_detectors() == {}
    assert engine.recorders["pump"].detector is None
    assert store.open_alarms(1) == []
    assert store.sensor("pump").state_note.startswith("records normal sound: 0 s of 20 s")
    engine.run()
    assert [row.outcome for row in store.last_clips(1, 50)] == ["learned"] * 40 + ["scored"] * 5
    assert engine.recorders["pump"].detector.file.name == "0002.soundness"
    store.close()


@pytest.mark.parametrize(
    ("sensor", "problem"),
    [("pomp", "no sensor 'pomp'; there are pump, fan"), ("fan", "sensor fan has a detector, fan.soundness")],
)
def test_a_sensor_that_cannot_learn_is_refused(configuration, tmp_path, sensor, problem):
    with pytest.raises(SettingsError, match=problem):
        learn_sensor(configuration, sensor, tmp_path / "normal")


def test_too_few_recordings_are_refused(configuration, tmp_path):
    (tmp_path / "normal" / "01.wav").unlink()
    with pytest.raises(DataError, match=r"2 clips of 0.5 s; expected at least 30 to learn"):
        learn_sensor(configuration, "pump", tmp_path / "normal")
    shutil.rmtree(tmp_path / "normal")
    (tmp_path / "normal").mkdir()
    with pytest.raises(DataError, match="no recordings in it to learn from"):
        learn_sensor(configuration, "pump", tmp_path / "normal")
