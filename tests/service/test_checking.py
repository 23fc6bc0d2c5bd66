"""Every problem of a configuration is one line that names it, and shows no secret."""

import os
import re
import socket
import tomllib
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import command_line
import soundness
from delivered import until
from live_monitor import save_fan
from mosquitto import broker, free_port, needs_mosquitto, subscriber
from soundness.monitoring.configuration.example import EXAMPLE
from soundness.monitoring.configuration.monitor_settings import (
    MonitorSettings,
    configuration_problems,
    load_configuration,
    read_configuration,
)
from soundness.monitoring.store.database import only_monitor
from soundness.monitoring.store.store import Store
from webhook_server import taking_alarms

_COMMENTED = re.compile(r"# (?=\[|\w+ = )")
FULL = "\n".join(_COMMENTED.sub("", line, count=1) for line in EXAMPLE.splitlines()) + "\n"
SECRETS = {"STORE_PASSWORD": "hunter-store", "SOUNDNESS_TOKEN": "hunter-token", "MQTT_PASSWORD": "hunter-mqtt"}
SECRETS |= {"NOTIFY_URL": "json://user:hunter-notify@127.0.0.1:9/", "CAMERA": "user:hunter-camera"}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a configuration with one sensor; the service is off."""
    monkeypatch.setattr(os, "environ", {**os.environ, **SECRETS})
    (tmp_path / "audio").mkdir(exist_ok=True)

    def configuration(text="", *, service="[service]\nis_on = false\n", sensor='name = "pump"\nsource = "pcm:-"\n'):
        path = tmp_path / "m.toml"
        path.write_text(f"{service}{text}\n[[sensor]]\n{sensor}")
        return path

    return configuration


def test_the_example_is_valid_as_it_stands_and_with_all_that_is_commented_out(tmp_path):
    for text in (EXAMPLE, FULL):
        (tmp_path / "m.toml").write_text(text)
        load_configuration(tmp_path / "m.toml")
    assert len(tomllib.loads(FULL)) == len(MonitorSettings.model_fields)


_LINES = [number for number, line in enumerate(FULL.splitlines()) if " = " in line and not line.startswith("#")]
_WRONG = ["3.5e300", "-1", "true", '"\\u0000"', '""', "[[]]", "{ hunter-key = 'hunter-value' }", "1979-05-27", "nan"]


_ALWAYS_WRONG = ("[[]]", "{ hunter-key = 'hunter-value' }", "1979-05-27", "true")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(_LINES), st.sampled_from([*_WRONG, "'x'"]))
def test_a_wrong_value_of_any_line_is_one_line_that_names_it(tmp_path, number, wrong):
    lines = FULL.splitlines()
    key = lines[number].split(" = ")[0]
    lines[number] = f"{key} = {wrong}"
    (tmp_path / "m.toml").write_text("\n".join(lines))
    problems = configuration_problems(read_configuration(tmp_path / "m.toml"))
    assert problems or wrong not in _ALWAYS_WRONG
    for problem in problems:
        assert "\n" not in problem
        assert key in problem
        assert len(problem) < 400


@pytest.mark.parametrize("number", _LINES)
def test_an_unknown_key_in_the_place_of_any_is_named(tmp_path, number):
    lines = FULL.splitlines()
    key = lines[number].split(" = ")[0]
    lines[number] = lines[number].replace(key, f"x{key}", 1)
    (tmp_path / "m.toml").write_text("\n".join(lines))
    found = soundness.check_monitor(tmp_path / "m.toml").problems
    assert any(re.search(rf"unknown setting '[a-z.]*x{key}'", line) for line in found)
    assert all("\n" not in line for line in found)


@pytest.mark.parametrize("number", range(len(FULL.splitlines())))
def test_a_line_that_is_no_toml_is_told_with_its_place(tmp_path, number):
    lines = FULL.splitlines()
    lines[number] = 'hunter" ' + lines[number]
    (tmp_path / "m.toml").write_text("\n".join(lines))
    (problem,) = soundness.check_monitor(tmp_path / "m.toml").problems
    assert "not a readable configuration" in problem
    assert f"line {number + 1}," in problem
    assert "hunter" not in problem


@pytest.mark.parametrize(
    "text",
    [
        '[mqtt]\nurl = "mqtt://broker"\npassword = "hunter2"',
        '[mqtt]\nurl = "mqtt://anna:hunter2@broker"',
        '[[notify]]\nname = "mail"\nurl = "mailto://anna:hunter2@host"',
        '[[webhook]]\nurl = "ftp://host/hunter2"',
        '[[webhook]]\nurl_secret = "https://host/hunter2"',
        '[[webhook]]\nurl = "https://host"\nsigning_key = ["hunter2"]',
        '[store]\npassword = { env = 3, text = "hunter2" }',
        '[store]\npassword = { value = "hunter2" }',
    ],
)
def test_a_secret_that_stands_where_none_may_stand_is_not_shown(write, text):
    found = soundness.check_monitor(write(text)).problems
    assert found
    assert "hunter2" not in "\n".join(found)


def test_a_secret_in_the_configuration_is_told_where_it_belongs(write):
    path = write('[mqtt]\nurl = "mqtt://broker"\npassword = "hunter2"')
    assert soundness.check_monitor(path).problems == [
        f'{path}: mqtt.password: expected {{ env = "NAME" }} or {{ file = "PATH" }}; '
        "the value that came is not shown, for it may be secret"
    ]


def test_a_secret_in_the_address_of_a_source_is_not_shown(write):
    found = soundness.check_monitor(write(sensor='name = "p"\nsource = "rstp://anna:hunter2@camera/x"\n')).problems
    assert found
    assert "hunter2" not in "\n".join(found)


def test_several_wrong_values_are_all_told(write):
    path = write("[store]\nmax_gigabytes = -1.0\nfoldre = 'x'\n", sensor='name = "p/"\nsource = "pcm:-"\nlearn = 3\n')
    found = soundness.check_monitor(path).problems
    assert [line.removeprefix(f"{path}: ").partition(";")[0] for line in found] == [
        "store.max_gigabytes: Input should be greater than 0",
        "unknown setting 'store.foldre' (did you mean 'folder'?)",
        "sensor 'p/': name: expected 1 to 80 characters without / \\ # + $, and no blanks around them",
        "sensor 'p/': learn: Input should be a valid string",
    ]


def test_what_is_wrong_outside_of_the_configuration_is_all_told(write, tmp_path):
    port = free_port()
    path = write(
        f"""[mqtt]
url = "mqtt://127.0.0.1:{port}"
[store]
folder = "m.toml"
[[webhook]]
url_secret = {{ env = "NOT_SET" }}
[[webhook]]
name = "two"
url = "https://127.0.0.1/x"
signing_key = {{ file = "no-key" }}
""",
        sensor='name = "pump"\nsource = "pcm:-"\ndetector = "no-detector"\n',
    )
    found = soundness.check_monitor(path).problems
    assert found[0] == f"store.folder: {tmp_path / 'm.toml'}: is a file; expected a folder"
    assert found[1].startswith("sensor pump: ")
    assert "no-detector" in found[1]
    assert found[2:] == [
        f"mqtt://127.0.0.1:{port}: connection refused",
        "webhook webhook: url_secret: environment variable NOT_SET is not set; expected a secret there",
        f"webhook two: signing_key: {tmp_path / 'no-key'}: cannot be read: No such file or directory",
    ]


@needs_mosquitto
def test_a_wrong_password_of_the_broker_is_told(write, tmp_path):
    with broker(tmp_path / "broker", users={"anna": "right"}) as server:
        text = f'[mqtt]\nurl = "{server.url}"\nuser = "anna"\npassword = {{ env = "MQTT_PASSWORD" }}\n'
        assert soundness.check_monitor(write(text)).problems == [
            f"{server.url}: the broker refuses user 'anna': wrong name or password"
        ]
        os.environ["MQTT_PASSWORD"] = "right"
        found = soundness.check_monitor(write(text))
    assert found.problems == []
    note = "the password goes to it as plain text, which mqtts:// would not do"
    assert f"mqtt: {server.url} answers; {note}" in found.notes


@needs_mosquitto
def test_a_check_leaves_the_connection_of_a_running_monitor_alone(write, tmp_path):
    with broker(tmp_path / "broker") as server, subscriber(server.port, client_id="soundness") as running:
        assert soundness.check_monitor(write(f'[mqtt]\nurl = "{server.url}"\n')).problems == []
        running.publish("still/here", "yes")
        until(lambda: running.last.get("still/here") == "yes")
        assert running.n_connections == 1


@pytest.mark.skipif(os.name != "posix", reason="elsewhere files have other rights")
def test_a_secret_that_everybody_can_read_is_noted(write, tmp_path):
    text = '[[webhook]]\nurl = "https://127.0.0.1"\nsigning_key = { file = "key.txt" }\n'
    (tmp_path / "key.txt").write_text("hunter2")
    (tmp_path / "key.txt").chmod(0o644)
    assert any("every user of this computer" in note for note in soundness.check_monitor(write(text)).notes)
    (tmp_path / "key.txt").chmod(0o600)
    assert not any("every user of this computer" in note for note in soundness.check_monitor(write(text)).notes)


def test_a_webhook_is_not_posted_to(write):
    with taking_alarms() as server:
        found = soundness.check_monitor(write(f'[[webhook]]\nurl = "{server.url}/hunter2"\n'))
        assert server.came == []
    assert found.problems == []
    assert "hunter2" not in "\n".join(found.notes)


def test_a_source_that_is_not_there_is_told(write):
    (problem,) = soundness.check_monitor(write(sensor='name = "pump"\nsource = "replay:none.wav"\n')).problems
    assert problem.startswith("sensor pump: ")
    assert "none.wav" in problem


def test_sensors_with_the_same_topics_are_told(write):
    path = write('[mqtt]\nurl = "mqtt://127.0.0.1:1"\n[[sensor]]\nname = "pump_3"\nsource = "pcm:-"',
                 sensor='name = "pump 3"\nsource = "pcm:-"\n')  # fmt: skip
    assert any(
        "'pump_3' and 'pump 3' would have the same topics" in one for one in soundness.check_monitor(path).problems
    )


def test_a_check_makes_no_store(write, tmp_path):
    soundness.check_monitor(write())
    assert not (tmp_path / "monitor-data").exists()


def test_a_configuration_can_be_checked_while_its_monitor_runs(write, tmp_path):
    store = Store.open(tmp_path / "monitor-data")
    words = "in use by another monitor or watch, which reads its configuration only when it starts"
    with only_monitor(store.engine), socket.create_server(("127.0.0.1", 0)) as taken:
        path = write(service=f"[service]\nport = {taken.getsockname()[1]}\n")
        found = soundness.check_monitor(path)
        assert found.problems == []
        assert sum(words in note for note in found.notes) == 1
        store.close()
    found = soundness.check_monitor(path)
    assert len(found.problems) == 0
    assert not any(words in note for note in found.notes)


def test_a_store_that_is_none_is_told(write, tmp_path):
    (tmp_path / "monitor-data").mkdir()
    (tmp_path / "monitor-data" / "soundness.sqlite").write_text("hello, this is no database at all")
    (problem,) = soundness.check_monitor(write()).problems
    assert "file is not a database" in problem


def test_a_full_disk_is_told(write):
    (problem,) = soundness.check_monitor(write("[store]\nmin_free_gigabytes = 1e9\n")).problems
    assert "no audio would be kept" in problem


def test_a_port_that_is_taken_and_a_host_that_is_none_are_told(write):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (problem,) = soundness.check_monitor(write(service=f"[service]\nport = {port}\n")).problems
    assert problem == f"service: 127.0.0.1, port {port}: another program listens there"
    (problem,) = soundness.check_monitor(
        write(service='[service]\nhost = "203.0.113.1"\ntoken.env = "CAMERA"\n')
    ).problems
    assert problem.startswith("service: 203.0.113.1, port 8734: ")


def test_a_service_open_to_all_is_told(write):
    (problem,) = soundness.check_monitor(write(service='[service]\nhost = "0.0.0.0"\nport = 0\n')).problems
    assert "expected service.password or service.token" in problem


def test_the_command_tells_every_problem_and_ends_with_status_2(write):
    path = write('[[webhook]]\nurl_secret = { env = "NOT_SET" }\n', sensor='name = "p"\nsource = "replay:none"\n')
    result = command_line.soundness("monitor", path, "--check")
    assert result.exit_code == 2
    lines = [line for line in result.stderr.splitlines() if line.startswith("soundness: ")]
    assert len(lines) == len(soundness.check_monitor(path).problems) == 2
    assert "all is well" not in result.stdout
    result = command_line.soundness("monitor", write(), "--check")
    assert result.exit_code == 0
    assert f"{path}: all is well" in result.stdout


def test_what_init_prints_is_a_configuration(tmp_path):
    result = command_line.soundness("monitor", "--init")
    (tmp_path / "m.toml").write_text(result.stdout)
    assert load_configuration(tmp_path / "m.toml").sensor[0].name == "pump 3"


def test_a_table_in_one_bracket_is_told(tmp_path):
    (tmp_path / "m.toml").write_text('[sensor]\nname = "pump"\nsource = "pcm:-"\n')
    (problem,) = soundness.check_monitor(tmp_path / "m.toml").problems
    assert problem.endswith("[sensor]: expected [[sensor]], in two brackets, since there may be several")


def test_a_value_that_a_message_holds_is_not_told_twice(write):
    (problem,) = soundness.check_monitor(write(sensor='name = "pump"\nsource = "usb"\n')).problems
    assert problem.count("'usb'") == 1


def test_no_configuration_is_one_line(tmp_path):
    (problem,) = soundness.check_monitor(tmp_path / "none.toml").problems
    assert problem.startswith(f"{tmp_path / 'none.toml'}: no such file; expected a configuration")


@pytest.mark.parametrize(("seconds", "is_noted"), [(2.0, True), (0.5, False)])
def test_a_clip_of_another_length_than_the_detector_learned_from_is_noted(
    write, tmp_path, calibrated, seconds, is_noted
):
    lengths = replace(calibrated[0].lengths, clip_seconds=0.5)
    save_fan(calibrated, tmp_path / "fan.soundness", lengths=lengths)
    sensor = f'name = "fan"\nsource = "pcm:-"\ndetector = "fan.soundness"\nclip_seconds = {seconds}\n'
    notes = soundness.check_monitor(write(sensor=sensor)).notes
    assert any("the detector learned from clips of 0.5 s" in note for note in notes) == is_noted
