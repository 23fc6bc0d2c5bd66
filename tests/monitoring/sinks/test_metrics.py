"""Figures for Prometheus are those of the monitor, and leave out what is not known."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from delivered import alarm, commit
from learning_monitors import engine_in, settings
from soundness.monitoring.live.events import Event
from soundness.monitoring.sinks.delivery import Deliveries
from soundness.monitoring.sinks.metrics import Metrics


class Nowhere:
    """A sink that is not started."""

    name = "hook"


@pytest.fixture
def metrics(tmp_path):
    engine, store = engine_in(tmp_path, settings(source="pcm:-"))
    found = Metrics(engine, Deliveries([Nowhere()], store, engine.events))
    yield found
    found.close()
    store.close()


def figures(metrics):
    """Figures by name and values of the labels, which are in alphabetical order."""
    families = text_string_to_metric_families(metrics.text())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def clip(**content):
    values = {"outcome": "scored", "score": 2.5, "p_value": 0.25, "level_db": -30.0, "start_us": 1_000_000}
    return Event(kind="clip", sensor="pump", content={**values, "seconds": 0.5, "scoring_seconds": 0.02, **content})


def test_figures_of_clips_and_alarms(metrics):
    tell = metrics.engine.events.tell
    for event in (clip(), clip(score=3.5), clip(outcome="gap", score=None, p_value=None, scoring_seconds=None)):
        tell(event)
    tell(Event(kind="alarm", sensor="pump", content=alarm()[1]))
    tell(Event(kind="alarm", sensor="pump", content=alarm(event="ended")[1]))
    found = figures(metrics)
    assert found["soundness_clips_total", "scored", "pump"] == 2
    assert found["soundness_clips_total", "gap", "pump"] == 1
    assert found["soundness_alarms_total", "anomaly", "pump"] == 1
    assert found["soundness_scoring_seconds_count",] == 2
    assert found["soundness_scoring_seconds_sum",] == pytest.approx(0.04)
    assert found["soundness_last_clip_timestamp_seconds", "pump"] == 1.5


def test_a_score_is_shown_only_as_long_as_it_is_the_last(metrics):
    metrics.engine.events.tell(clip())
    assert figures(metrics)["soundness_score", "pump"] == 2.5
    assert figures(metrics)["soundness_p_value", "pump"] == 0.25
    metrics.engine.events.tell(clip(outcome="fault"))
    found = figures(metrics)
    assert ("soundness_score", "pump") not in found
    assert ("soundness_p_value", "pump") not in found
    assert found["soundness_level_dbfs", "pump"] == -30.0


def test_a_sensor_is_in_one_state(metrics):
    states = {key[2]: value for key, value in figures(metrics).items() if key[0] == "soundness_state"}
    assert states["waiting"] == 1.0
    assert sum(states.values()) == 1.0
    metrics.engine.recorders["pump"].standing.state = "alarm"
    assert figures(metrics)["soundness_state", "pump", "alarm"] == 1.0


def test_what_waits_and_what_is_stored(metrics):
    store = metrics.engine.store
    for key in "ab":
        commit(store, metrics.engine.events, ["hook"], *alarm(key))
    (store.folder / "audio" / "1").mkdir(parents=True)
    (store.folder / "audio" / "1" / "1.flac").write_bytes(b"x" * 1_000)
    found = figures(metrics)
    assert found["soundness_deliveries_unsent", "hook"] == 2
    assert found["soundness_clips_waiting", "pump"] == 0
    assert found["soundness_store_bytes", "audio"] == 1_000
    assert found["soundness_store_bytes", "database"] > 10_000
    assert found["soundness_disk_free_bytes",] > 0
    assert found["soundness_store_up",] == 1


def test_a_store_that_is_away_does_not_take_the_other_figures_away(metrics):
    store = metrics.engine.store
    store.close()
    for file in store.folder.glob("soundness.sqlite*"):
        file.unlink()
    (store.folder / "soundness.sqlite").mkdir()
    found = figures(metrics)
    assert found["soundness_store_up",] == 0
    assert ("soundness_deliveries_unsent", "hook") not in found
    assert found["soundness_state", "pump", "waiting"] == 1


def test_names_of_strangers_are_escaped(metrics):
    metrics.engine.events.tell(Event(kind="clip", sensor='a"\nb', content=clip().content))
    assert figures(metrics)["soundness_clips_total", "scored", 'a"\nb'] == 1


def test_the_dashboard_of_grafana_asks_for_figures_and_labels_that_are_there(metrics):
    metrics.engine.events.tell(clip())
    metrics.engine.events.tell(Event(kind="alarm", sensor="pump", content=alarm()[1]))
    there = {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(metrics.text())
        for sample in family.samples
    }
    text = (Path(__file__).parents[3] / "deploy" / "grafana-dashboard.json").read_text(encoding="utf-8")
    board = json.loads(text)
    questions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    questions += [one["expr"] for one in board["annotations"]["list"]]
    assert len(questions) > 12
    for question in questions:
        (name,) = set(re.findall(r"soundness_\w+", question))
        asked = set(re.findall(r"(\w+)=~?\"", question)) | set(
            re.findall(r"\w+", (re.findall(r" by \(([^)]*)\)", question) or [""])[0])
        )
        assert asked <= there[name], question
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
