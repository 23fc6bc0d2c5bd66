"""Pages in a real browser: no error, no sideways scroll, labels, contrast, keyboard; live, and answered by hand."""

import json
import time

import pytest

from monitored import RATE
from page_checks import look_at, poor_contrasts, reached_by_no_key, text_of, unlabelled, until, widest
from served import add_alarm, add_sensor, now_us, served, write_clip
from soundness.monitoring.configuration.monitor_settings import SensorSettings
from soundness.monitoring.detector_in_use import load_detector_in_use
from soundness.monitoring.live.events import Event
from soundness.monitoring.store import tables

WIDTHS = (360, 1440)
ARROW_LEFT = "\ue012"  # as WebDriver names it
STATES = ("alarm", "fault", "drifting", "learning", "waiting", "normal")


def fill(store):
    """A sensor in each state; the one in alarm has audio, a gap and a fault behind it."""
    found = {}
    for state in STATES:
        n_audio = 4 if state == "alarm" else 0
        _, rows = add_sensor(store, f"{state} <b>pump", n_clips=30, state=state, n_audio=n_audio)
        found[state] = rows
    rows = found["alarm"]
    with store.transaction() as transaction:
        transaction.set_clip(rows[10].id, outcome="gap", score=None, p_value=None, note="the cable was pulled")
        transaction.set_clip(rows[11].id, outcome="fault", score=None, p_value=None)
        transaction.update_sensor(rows[0].sensor_id, ignored_until_us=now_us() + 10**10)
        for row in rows:
            transaction.set_clip(row.id, threshold=30.0 + 0.1 * row.number)
    reason = "a very-long-word-without-a-blank-" * 4
    alarms = [add_alarm(store, rows[-2:], reason=reason), add_alarm(store, found["fault"][:1], kind="fault")]
    write_clip(store.folder / rows[-2].audio, seconds=0.4, seed=91, hz=1_300)
    ring = store.folder / "ring" / f"{rows[0].sensor_id}"
    for row in rows[-3:]:
        write_clip(ring / f"{row.number}-{row.start_us}-{RATE}.flac", seed=row.number)
    return {"clips": found, "alarms": alarms}


@pytest.fixture(scope="module")
def running(trained, tmp_path_factory):
    detector = load_detector_in_use(
        trained, SensorSettings(name="a", source="pcm:-", clip_seconds=1.0, false_alarms="1/hour")
    )
    with served(tmp_path_factory.mktemp("store"), fill, detector=detector) as found:
        yield found


@pytest.fixture(scope="module")
def pages(running):
    key = running.alarms[0].key
    alarm = running.clips["alarm"][0].sensor_id
    learning = running.clips["learning"][0].sensor_id
    return ["/", f"/sensors/{alarm}", f"/sensors/{learning}", "/alarms", f"/alarms/{key}",
            f"/alarms/{running.alarms[1].key}", "/docs", "/login"]  # fmt: skip


def open_page(browser, running, path, **options):
    """Open a page of a running service."""
    look_at(browser, f"{running.address.rstrip('/')}{path}", **options)


def test_pages_have_no_error_no_sideways_scroll_and_a_label_on_everything(browser, running, pages):
    browser.get_log("browser")
    for path in pages:
        for width in WIDTHS:
            open_page(browser, running, path, width=width)
            assert widest(browser) <= width, (path, width, widest(browser))
            assert unlabelled(browser) == [], path
            assert browser.get_log("browser") == [], path
            ids = browser.execute_script("return [...document.querySelectorAll('[id]')].map(one => one.id)")
            assert len(ids) == len(set(ids))


def test_text_that_hardly_stands_out_is_found(browser, running):
    open_page(browser, running, "/docs")
    browser.execute_script("document.querySelector('h1').style.color = '#a9a9a9'")
    assert poor_contrasts(browser) == ["H1.: 2.35"]  # as WebAIM's checker says


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_text_stands_out(browser, running, pages, is_dark):
    for path in pages:
        open_page(browser, running, path, is_dark=is_dark)
        assert poor_contrasts(browser) == [], path


def test_everything_is_reached_by_the_keyboard(browser, running, pages):
    for path in pages[:2] + pages[4:5]:
        open_page(browser, running, path)
        assert reached_by_no_key(browser, 150) == [], path  # players have buttons of their own


def test_the_overview_follows_what_happens(browser, running):
    open_page(browser, running, "/")
    assert "1 alarm" in text_of(browser, "#summary")
    card = f".card[data-id='{running.clips['normal'][-1].sensor_id}']"
    line = "return document.querySelector(arguments[0]).querySelector('.line').getAttribute('d')"
    before = browser.execute_script(line, card)

    def told(kind, **content):  # again and again: a page that has lost its connection reads the store anew
        running.parts.events.tell(Event(kind=kind, sensor="normal <b>pump", content=content))
        time.sleep(0.1)
        return True

    until(
        lambda: (
            told("clip", p_value=0.002, level_db=-12.3)
            and "\N{MINUS SIGN}12 dB" in text_of(browser, f"{card} .level")
            and browser.execute_script(line, card) != before
        )
    )
    until(lambda: told("state", state="alarm", note="") and "2 alarms" in text_of(browser, "#summary"))
    assert text_of(browser, f"{card} .word") == "Alarm"
    until(lambda: told("state", state="normal", note="") and "alarms" not in text_of(browser, "#summary"))


def test_a_sensor_shows_scores_gaps_sound_and_what_it_promises(browser, running):
    open_page(browser, running, f"/sensors/{running.clips['alarm'][0].sensor_id}")
    until(lambda: "anomalous clips" in browser.execute_script("return document.getElementById('chart').ariaLabel"))
    until(lambda: "3 clips" in text_of(browser, "#live-words"))
    until(lambda: browser.execute_script("return document.getElementById('live-picture').naturalWidth") > 0)
    facts = text_of(browser, "main")
    for words in ("Noise floor", "\N{MINUS SIGN}30 dB", "at most", "Learned from", "24 normal clips", "Maintenance"):
        assert words in facts
    assert "Alarms are ignored until" in text_of(browser, "#ignoring")
    browser.execute_script("document.getElementById('chart').focus()")
    chart = browser.switch_to.active_element
    readings = set()
    for _ in range(40):
        chart.send_keys(ARROW_LEFT)
        readings.add(text_of(browser, "#readout"))
    assert any("sound lost" in one or "sensor fault" in one for one in readings)
    thresholds = {one.partition("threshold ")[2].partition(" ")[0] for one in readings} - {""}
    assert len(thresholds) > 2  # as they were at each time
    assert all(30.0 < float(one) <= 33.0 for one in thresholds)
    assert text_of(browser, "#calibrated-key") == "as calibrated"
    for measure, name in (("p", "P-values"), ("level", "Levels")):
        browser.execute_script("document.querySelector(`input[value=${arguments[0]}]`).click()", measure)
        assert browser.execute_script("return document.getElementById('chart').ariaLabel").startswith(name)
    browser.execute_script("document.getElementById('listen').click()")
    until(lambda: browser.execute_script("return document.getElementById('player').currentSrc").endswith("/audio"))
    browser.execute_script("document.getElementById('listen').click()")
    browser.execute_script("document.getElementById('heed').click()")
    until(lambda: browser.execute_script("return document.getElementById('ignoring').hidden"))


def test_an_alarm_is_explained_played_and_answered(browser, running):
    alarm = running.alarms[0]
    open_page(browser, running, f"/alarms/{alarm.key}")
    explanation = text_of(browser, "#explanation")
    assert "Hz" in explanation
    assert "This clip" in explanation
    assert "normal clip" in explanation
    assert browser.execute_script("return document.querySelectorAll('#explanation rect').length") > 0
    browser.execute_script("document.querySelector('[name=person]').value = 'Kim'")
    browser.execute_script("document.querySelector('[name=label]').value = 'bearing <b>'")
    browser.execute_script("document.querySelector('[data-verdict=fault]').click()")
    until(lambda: "bearing <b>" in text_of(browser, "#given"))
    with running.client() as client:
        found = client.get(f"/api/alarms/{alarm.key}").json()
        assert (found["verdict"], found["label"], found["closed_by"]) == ("fault", "bearing <b>", "Kim")
    browser.execute_script("document.querySelector('[data-verdict=ignored]').click()")
    until(lambda: "Ignored" in text_of(browser, "#given"))
    open_page(browser, running, f"/alarms/{alarm.key}")
    assert "Ignored" in text_of(browser, "#given")


def test_a_picture_plays_from_where_it_is_clicked_and_shows_the_moment(browser, running):
    open_page(browser, running, f"/alarms/{running.alarms[0].key}")
    browser.execute_script("document.getElementById('sound-clip').muted = true")
    until(lambda: browser.execute_script("return document.getElementById('sound-clip').readyState") > 0)
    browser.execute_script(
        "const picture = document.querySelector('[data-player=clip]'), box = picture.getBoundingClientRect();"
        "picture.dispatchEvent(new MouseEvent('click', { clientX: box.left + 0.5 * box.width }))"
    )
    cursor = "return document.querySelector('[data-player=clip] .cursor.is-on')?.style.left ?? ''"
    until(lambda: browser.execute_script(cursor) != "")
    assert 45.0 <= float(browser.execute_script(cursor).rstrip("%")) <= 100.0


def test_an_address_that_leads_nowhere_is_a_page_for_people_and_json_for_programs(browser, running):
    browser.get(f"{running.address}sensors/9999")
    assert "No sensor has the number 9999." in text_of(browser, "main")
    browser.get_log("browser")
    with running.client() as client:
        assert client.get("/sensors/9999").json()["detail"] == "no sensor has the number 9999"
        wants_html = {"Accept": "text/html"}
        assert client.get("/api/sensors/9999/history", headers=wants_html).json()["status"] == 404


def test_a_quiet_sensor_is_no_comfort(browser, running):
    sensor = running.clips["waiting"][-1].sensor_id
    open_page(browser, running, "/")
    quiet = f".card[data-id='{sensor}'] .quiet"
    assert text_of(browser, quiet) == ""
    content = {"start_us": now_us() - 4 * 3_600_000_000, "seconds": 1.0, "p_value": 0.5, "level_db": -30.0}
    until(
        lambda: (
            running.parts.events.tell(Event(kind="clip", sensor="waiting <b>pump", content=content))
            or text_of(browser, quiet) == "last clip 3 h ago"
        )
    )


def test_pages_load_nothing_from_elsewhere(browser, running, pages):
    browser.get_log("performance")
    for path in pages:
        open_page(browser, running, path)
    urls = [
        message["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"] == "Network.requestWillBeSent"
    ]
    assert len(urls) > 20
    assert all(url.startswith((running.address, "data:", "blob:")) for url in urls)


def test_a_page_says_that_it_is_old_when_the_monitor_is_gone(browser, tmp_path):
    with served(tmp_path, lambda store: (add_sensor(store, "pump"), {})[1]) as one:
        open_page(browser, one, "/")
        until(lambda: len(one.parts.events._listeners) > 0)
        assert browser.execute_script("return document.getElementById('lost').hidden")
    until(lambda: "what you see is old" in text_of(browser, "#lost"))
    browser.get("about:blank")
    browser.get_log("browser")


def test_the_overview_of_two_hundred_sensors_is_complete_in_a_few_seconds(browser, tmp_path):
    """Promised: one second on an idle computer, which the benchmark measures."""

    def fill_many(store):
        for number in range(200):
            add_sensor(store, f"machine {number}", n_clips=2)
        with store.transaction() as transaction:
            row = {"start_us": 1, "seconds": 1.0, "outcome": "scored", "state": "normal", "p_value": 0.5}
            rows = [{**row, "sensor_id": one, "number": number} for one in range(1, 201) for number in range(3, 61)]
            transaction.connection.execute(tables.clips.insert(), rows)
        return {}

    with served(tmp_path, fill_many) as one:
        open_page(browser, one, "/")
        lines = (
            "return [...document.querySelectorAll('.line')].filter(one => one.getAttribute('d')?.length > 100).length"
        )
        assert browser.execute_script(lines) == 200
        seconds = browser.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd / 1000")
        assert 0 < seconds < 20
