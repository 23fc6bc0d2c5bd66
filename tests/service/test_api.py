"""Interface for programs: lists in pages, audio, answers that change the store, scores, events."""

import io
import json
import threading

import httpx
import numpy as np
import pytest
import soundfile
import sqlalchemy as sql
from PIL import Image

from delivered import until
from served import RATE, add_alarm, add_sensor, now_us, served, write_clip
from soundness.errors import SettingsError
from soundness.monitoring.configuration.monitor_settings import SensorSettings
from soundness.monitoring.detector_in_use import load_detector_in_use
from soundness.monitoring.live.events import Event
from soundness.monitoring.sinks.delivery import SinkStatus
from soundness.monitoring.store import tables

HOUR_US = 3_600_000_000


def many(store):
    sensor, rows = add_sensor(store, "pump 3", n_clips=25, n_audio=3)
    alarms = [add_alarm(store, rows[place : place + 2]) for place in (5, 10, 23)]
    ring = store.folder / "ring" / f"{sensor}"
    for row in rows[-4:]:
        write_clip(ring / f"{row.number}-{row.start_us}-{RATE}.flac", seed=row.number)
    return {"clips": {"pump": rows}, "alarms": alarms}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with served(tmp_path_factory.mktemp("store"), many) as found:
        yield found


@pytest.fixture
def client(running):
    with running.client() as found:
        yield found


def test_clips_come_in_pages_without_gap_or_double(client):
    seen, before = [], None
    for _ in range(4):
        page = client.get("/api/clips", params={"limit": 10} | ({} if before is None else {"before": before})).json()
        seen += [one["number"] for one in page["items"]]
        before = page["next"]
        if before is None:
            break
    assert seen == list(range(25, 0, -1))
    assert before is None


def test_clips_are_chosen_by_sensor_outcome_and_alarm(running, client):
    key = running.alarms[2].key
    assert [one["number"] for one in client.get("/api/clips", params={"alarm": key}).json()["items"]] == [25, 24]
    assert client.get("/api/clips", params={"outcome": "gap"}).json()["items"] == []
    assert client.get("/api/clips", params={"sensor": 2}).json()["items"] == []
    assert client.get("/api/clips", params={"alarm": "0" * 36}).status_code == 404
    assert client.get("/api/clips/1").json()["number"] == 1
    assert client.get("/api/clips/9999").status_code == 404


def test_a_chart_ends_with_a_recording_that_is_ahead_of_the_clock(tmp_path):
    with served(tmp_path, many) as running, running.client() as client:
        first = client.get("/api/sensors/1/history", params={"span": "hour"}).json()
        ahead = running.clips["pump"][-1].start_us + 5 * HOUR_US
        with running.store.transaction() as transaction:
            transaction.set_clip(running.clips["pump"][-1].id, start_us=ahead, threshold=2.5)
        found = client.get("/api/sensors/1/history", params={"span": "hour"}).json()
    assert first["end_us"] - first["last_us"] < HOUR_US
    assert found["end_us"] == found["last_us"] == ahead + 1_000_000
    assert [(one["n_clips"], one["threshold"]) for one in found["buckets"]] == [(1, 2.5)]


def test_audio_is_what_was_kept_or_is_in_the_ring_and_comes_in_parts(running, client):
    rows = running.clips["pump"]
    kept, ringed, gone = rows[-1], rows[-4], rows[0]
    whole = client.get(f"/api/clips/{kept.id}/audio")
    assert whole.headers["content-type"] == "audio/flac"
    assert whole.content == (running.store.folder / kept.audio).read_bytes()
    part = client.get(f"/api/clips/{kept.id}/audio", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"fLaC")
    samples, rate = soundfile.read(io.BytesIO(client.get(f"/api/clips/{ringed.id}/audio").content))
    assert (len(samples), rate) == (RATE, RATE)
    found = client.get(f"/api/clips/{gone.id}/audio")
    assert found.status_code == 404
    assert found.json()["detail"] == "the audio of this clip is not kept"


@pytest.mark.parametrize("place", ["../session-key", "/etc/passwd", "audio/../session-key", "audio/1/link.flac"])
def test_audio_outside_of_the_store_is_never_sent(running, client, place):
    link = running.store.folder / "audio" / "1" / "link.flac"
    if not link.is_symlink():
        link.symlink_to("/etc/passwd")
    row = running.clips["pump"][1]
    with running.store.transaction() as transaction:
        transaction.set_clip(row.id, audio=place)
    assert client.get(f"/api/clips/{row.id}/audio").status_code == 404
    assert client.get(f"/api/clips/{row.id}/spectrogram.png").status_code == 404


def test_a_spectrogram_shows_the_tone_at_its_frequency(running, client):
    found = client.get("/api/sensors/1/live").json()
    assert [one["number"] for one in found["items"]] == [22, 23, 24, 25]
    image = Image.open(io.BytesIO(client.get("/api/sensors/1/spectrogram.png").content)).convert("L")
    brightest = int(np.asarray(image, dtype=float).mean(axis=1).argmax())
    ticks = {words: 1 - place for place, words in found["ticks"]}
    assert ticks["500 Hz"] < brightest / image.height < ticks["250 Hz"]  # 400 Hz
    clip = client.get(f"/api/clips/{running.clips['pump'][-1].id}/spectrogram.png")
    assert Image.open(io.BytesIO(clip.content)).format == "PNG"


def test_an_alarm_is_seen_answered_and_answered_again(running, client):
    key = running.alarms[0].key
    first = client.post(f"/api/alarms/{key}/acknowledge", json={"person": "Ann"}).json()
    again = client.post(f"/api/alarms/{key}/acknowledge", json={"person": "Bob"}).json()
    assert (first["acknowledged_by"], again["acknowledged_by"]) == ("Ann", "Ann")
    answer = {"verdict": "fault", "label": "bearing", "note": "line 1\nline 2", "person": "Bob"}
    found = client.post(f"/api/alarms/{key}/answer", json=answer).json()
    assert (found["verdict"], found["label"], found["closed_by"]) == ("fault", "bearing", "Bob")
    assert abs(found["closed_us"] - now_us()) < 60_000_000
    changed = client.post(f"/api/alarms/{key}/answer", json={"verdict": "normal"}).json()
    assert (changed["verdict"], changed["label"]) == ("normal", "")
    assert changed["message"] == "The answer is stored; this monitor does not learn from answers."
    with running.store.reading() as connection:
        rows = list(connection.execute(tables.changes.select().order_by(tables.changes.c.id)).mappings())
    assert [(row["what"], row["person"]) for row in rows][:3] == [
        ("alarm acknowledged", "Ann"),
        ("alarm answered: fault", "Bob"),
        ("alarm answered: normal", ""),
    ]
    assert {one["id"] for one in client.get("/api/alarms?state=unanswered").json()["items"]} == {
        one.key for one in running.alarms[1:]
    }


def test_a_machine_is_ignored_until_a_time_and_heeded_again(running, client):
    until = now_us() + HOUR_US
    body = {"verdict": "ignored", "ignored_until_us": until}
    assert client.post(f"/api/alarms/{running.alarms[1].key}/answer", json=body).status_code == 200
    assert client.get("/api/sensors").json()["items"][0]["ignored_until_us"] == until
    assert client.post("/api/sensors/1/ignore", json={"until_us": None}).json()["ignored_until_us"] is None
    assert running.store.sensor("pump 3").ignored_until_us is None
    for wrong in (None, 0, now_us() - HOUR_US, now_us() + 9_000 * HOUR_US):
        body = {"verdict": "ignored", "ignored_until_us": wrong}
        assert client.post(f"/api/alarms/{running.alarms[1].key}/answer", json=body).status_code == 422


@pytest.mark.parametrize(
    "body",
    [{}, {"verdict": "maybe"}, {"verdict": "fault", "label": "a\x00b"}, {"verdict": "fault", "label": "a" * 201},
     {"verdict": "fault", "unknown": 1}, [], "fault", None],
)  # fmt: skip
def test_a_wrong_answer_changes_nothing(running, client, body):
    before = client.get(f"/api/alarms/{running.alarms[2].key}").json()
    found = client.post(f"/api/alarms/{running.alarms[2].key}/answer", json=body)
    assert found.status_code == 422
    assert found.headers["content-type"] == "application/problem+json"
    assert client.get(f"/api/alarms/{running.alarms[2].key}").json() == before


def test_json_that_is_sent_as_something_else_is_refused_with_what_is_expected(running, client):
    address = f"/api/alarms/{running.alarms[2].key}/answer"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}  # that of curl
    found = client.post(address, content='{"verdict": "fault"}', headers=kind)
    assert found.status_code == 422
    assert found.json()["detail"] == "expected JSON, sent with the header Content-Type: application/json"


class Learning:
    """Learns the first time, and has no room after it."""

    def __init__(self):
        self.learned = []

    def __call__(self, alarm, *, person):
        if self.learned:
            raise SettingsError("no room")
        self.learned.append((alarm.key, person))
        return "At most 2/week from now on."

    def undo(self, sensor, *, person):
        if not self.learned:
            raise SettingsError(f"{sensor}: its detector has learned from no answer")
        return f"undone by {person}: {self.learned.pop()[0]}"


def test_learning_from_an_answer_says_what_changes_or_why_not_and_is_undone(tmp_path):
    feedback = Learning()
    with served(tmp_path, many, feedback=feedback) as running, running.client() as client:
        key = running.alarms[0].key
        address = f"/api/alarms/{key}/answer"
        found = client.post(address, json={"verdict": "normal", "person": "Ann"}).json()
        learned = list(feedback.learned)
        again = client.post(address, json={"verdict": "normal"}).json()
        undone = client.post("/api/sensors/1/undo", json={"person": "Bob"})
        nothing = client.post("/api/sensors/1/undo", json={})
    assert learned == [(key, "Ann")]
    assert found["message"] == "At most 2/week from now on."
    assert again["message"] == "The answer is stored, but the sound is not learned: no room"
    assert again["verdict"] == "normal"
    assert undone.json() == {"message": f"undone by Bob: {key}"}
    assert nothing.status_code == 422
    assert nothing.json()["detail"] == "pump 3: its detector has learned from no answer"


def test_one_answer_is_learned_at_a_time(tmp_path):
    begun, go_on = threading.Event(), threading.Event()

    def feedback(_alarm, *, person):
        begun.set()
        assert go_on.wait(60)
        return f"learned for {person}"

    with served(tmp_path, many, feedback=feedback) as running, running.client() as client:
        address = f"{running.address}api/alarms/{running.alarms[0].key}/answer"
        found = []
        first = threading.Thread(
            target=lambda: found.append(httpx.post(address, json={"verdict": "normal", "person": "Ann"}, timeout=120))
        )
        first.start()
        assert begun.wait(60)
        second = client.post(address, json={"verdict": "normal"}).json()
        go_on.set()
        first.join()
    assert second["message"].endswith("another one is; answer again in a minute.")
    assert found[0].json()["message"] == "learned for Ann"


def test_events_are_streamed_without_what_is_private(running):
    lines = []
    with running.client() as client, client.stream("GET", "/api/events") as stream:
        rows = stream.iter_lines()
        assert next(rows) == "retry: 3000"
        content = {"p_value": 0.25, "audio": "audio/1/2.flac", "sensor_id": 1}
        running.parts.events.tell(Event(kind="clip", sensor="pump 3", content=content))
        for line in rows:
            lines.append(line)
            if line.startswith("data") and "p_value" in line:
                break
    assert "event: clip" in lines
    assert json.loads(lines[-1].removeprefix("data: ")) == {"sensor": 1, "name": "pump 3", "p_value": 0.25}


def test_events_go_on_after_one_for_which_the_store_could_not_be_read(running, caplog):
    with running.client() as client, client.stream("GET", "/api/events") as stream:
        rows = stream.iter_lines()
        next(rows)
        with running.store.engine.begin() as connection:
            connection.execute(sql.text("ALTER TABLE sensors RENAME TO away"))
        running.parts.events.tell(Event(kind="state", sensor="pump 4", content={}))
        until(lambda: "no such table" in caplog.text)
        with running.store.engine.begin() as connection:
            connection.execute(sql.text("ALTER TABLE away RENAME TO sensors"))
        running.parts.events.tell(Event(kind="state", sensor="pump 3", content={"state": "normal"}))
        assert "normal" in next(line for line in rows if line.startswith(('data: {"sensor"', "event: beat")))


def test_an_answer_is_told_to_those_who_listen(running, client):
    with running.client() as listening, listening.stream("GET", "/api/events") as stream:
        rows = stream.iter_lines()
        next(rows)
        client.post(f"/api/alarms/{running.alarms[2].key}/acknowledge", json={})
        data = next(line for line in rows if line.startswith("data") and "answered" in line)
    assert json.loads(data.removeprefix("data: "))["id"] == running.alarms[2].key


def test_the_overview_says_which_sink_is_not_reached(tmp_path):
    now = [
        SinkStatus(name="mail <b>", n_unsent=3, problem="no route to host"),
        SinkStatus(name="mqtt", n_unsent=0, problem=""),
    ]
    with served(tmp_path, many, sinks=lambda: now) as running, running.client() as client:
        page = client.get("/").text
    assert "<b>mail &lt;b&gt;</b>: 3 event(s) have not arrived. no route to host" in page
    assert "mqtt" not in page


def test_health_metrics_and_a_monitor_that_failed(tmp_path):
    problems = [""]
    parts = {"problem": lambda: problems[0], "metrics": lambda: "soundness_clips 7\n"}
    with served(tmp_path, many, **parts) as running, running.client() as client:
        assert client.get("/health").json() == {"status": "ok"}
        assert client.get("/metrics").text == "soundness_clips 7\n"
        problems[0] = "the monitor has failed; see the log"
        assert client.get("/health").status_code == 503


def test_a_bug_is_a_problem_that_shows_nothing_of_it(tmp_path, caplog):
    def problem():
        raise ZeroDivisionError("private")

    with served(tmp_path, many, problem=problem) as running, running.client() as client:
        found = client.get("/health")
    assert found.status_code == 500
    assert found.headers["content-type"] == "application/problem+json"
    assert "private" not in found.text
    assert "private" in caplog.text


def test_a_store_that_is_away_is_a_problem_and_no_trace(tmp_path):
    with served(tmp_path, many) as running, running.client() as client:
        with running.store.transaction() as transaction:
            tables.deliveries.drop(transaction.connection)
            tables.alarms.drop(transaction.connection)
        found = client.get("/api/alarms")
        assert found.status_code == 503
        assert found.json()["detail"] == "the store cannot be used now; see the log"
        assert str(tmp_path) not in found.text


def test_the_description_matches_the_page_that_shows_it(client):
    document = client.get("/api/openapi.json").json()
    page = client.get("/docs").text
    assert all(path in page for path in document["paths"])
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


@pytest.fixture(scope="module")
def scoring(trained, tmp_path_factory):
    detector = load_detector_in_use(
        trained, SensorSettings(name="a", source="pcm:-", clip_seconds=1.0, false_alarms="1/hour")
    )
    with served(tmp_path_factory.mktemp("store"), many, detector=detector) as found:
        yield found


def recording(hz=400, *, kind="WAV", seconds=0.4):
    file, time_s = io.BytesIO(), np.arange(round(seconds * RATE)) / RATE
    noise = 0.05 * np.random.default_rng(77).standard_normal(len(time_s))
    soundfile.write(file, noise + 0.2 * np.sin(2 * np.pi * hz * time_s), RATE, format=kind)
    return file.getvalue()


def test_a_recording_is_scored_as_body_and_as_form(scoring, trained, tmp_path):
    from soundness.detectors.bulk_scoring import load_any

    (tmp_path / "x.wav").write_bytes(recording(1_300))
    (detector,) = load_any(trained).values()
    own = detector.score_recording(tmp_path / "x.wav")
    with scoring.client() as client:
        address = "/api/score?sensor=1"
        bodies = [
            client.post(address, content=recording(1_300), headers={"Content-Type": "audio/wav"}),
            client.post(address, content=recording(1_300)),
            client.post(address, files={"recording": ("../../x.wav", recording(1_300))}),
        ]
        normal = client.post(address, content=recording(400)).json()
        flac = client.post(address, content=recording(kind="FLAC"), headers={"Content-Type": "audio/flac"})
    for found in bodies:
        assert found.json()["score"] == pytest.approx(own.anomaly_score)
        assert found.json()["verdict"] == "anomalous"
        assert found.json()["p_value"] == own.p_value
        assert "Hz" in found.json()["explanation"]
    assert normal["verdict"] == "normal"
    assert normal["explanation"] == ""
    assert flac.json()["verdict"] == "normal"


@pytest.mark.parametrize("content", [b"", b"<html>", b"RIFF\x00\x00\x00\x00WAVE", recording()[:40], b"\x00" * 100_000])
def test_what_is_no_recording_is_a_problem_that_names_no_file(scoring, content):
    with scoring.client() as client:
        found = client.post("/api/score?sensor=1", content=content)
    assert found.status_code == 422
    assert "/tmp" not in found.text
    assert "recording.wav" not in found.json()["detail"]


def test_a_recording_of_hours_is_refused_however_small_it_is(scoring):
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 8_000, 1, format="FLAC") as stream:
        for _ in range(61):
            stream.write(np.zeros(60 * 8_000, dtype=np.int16))
    with scoring.client() as client:
        found = client.post("/api/score?sensor=1", content=file.getvalue(), headers={"Content-Type": "audio/flac"})
    assert (found.status_code, len(file.getvalue()) < 1_000_000) == (413, True)
    assert found.json()["detail"] == "a recording of 3,660 s; at most 3,600 s are scored"


def test_a_form_without_the_recording_and_a_sensor_without_a_detector_are_problems(scoring, client):
    with scoring.client() as scorer:
        assert scorer.post("/api/score?sensor=1", files={"other": b"x"}).status_code == 422
        assert scorer.post("/api/score?sensor=9", content=b"x").status_code == 404
        assert scorer.post("/api/score", content=b"x").status_code == 422
    assert client.post("/api/sensors/1/undo", json={}).json()["detail"] == "this monitor does not learn from answers"
    assert client.post("/api/score?sensor=1", content=b"x").json()["detail"] == "that sensor has no detector yet"


def test_many_recordings_at_once_are_scored_or_told_to_come_again(scoring):
    statuses = []

    def send():
        statuses.append(
            httpx.post(f"{scoring.address}api/score?sensor=1", content=recording(), timeout=120).status_code
        )

    threads = [threading.Thread(target=send) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 503}
    assert 200 in statuses


def test_sinks_tell_what_has_not_arrived_and_figures_are_text(tmp_path):
    sinks = [
        SinkStatus(name="shift", n_unsent=2, problem="json://: not sent"),
        SinkStatus(name="mqtt", n_unsent=0, problem=""),
    ]
    with (
        served(tmp_path, sinks=lambda: sinks, metrics=lambda: "soundness_score 1.0\n") as found,
        found.client() as client,
    ):
        assert client.get("/api/sinks").json()["items"] == [
            {"name": "shift", "n_unsent": 2, "problem": "json://: not sent"},
            {"name": "mqtt", "n_unsent": 0, "problem": ""},
        ]
        figures = client.get("/metrics")
        assert (figures.text, figures.headers["content-type"].partition(";")[0]) == (
            "soundness_score 1.0\n",
            "text/plain",
        )
