"""The program serves its pages, says where, and refuses to be open to others; a password's hash is printed."""

import re
import signal
import socket
import subprocess
import sys

import httpx
import numpy as np
import pytest
import soundfile

COMMAND = [sys.executable, "-m", "soundness", "monitor"]
SENSOR = '[[sensor]]\nname = "pump"\nsource = "pcm:-?rate=16000"\n'


def write(tmp_path, service):
    path = tmp_path / "m.toml"
    path.write_text(f'[store]\nfolder = "data"\n[service]\n{service}\n{SENSOR}')
    return path


def test_the_program_prints_its_address_answers_there_and_ends_when_it_is_told_to(tmp_path):
    command = [*COMMAND, write(tmp_path, "port = 0")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        try:
            line = process.stdout.readline()
            address = re.fullmatch(r"pages at (http://127\.0\.0\.1:\d+/)\n", line).group(1)
            assert httpx.get(f"{address}health", timeout=60).json() == {"status": "ok"}
            assert httpx.get(f"{address}api/sensors", timeout=60).json()["items"][0]["name"] == "pump"
            assert "soundness_" in httpx.get(f"{address}metrics", timeout=60).text
            process.send_signal(signal.SIGTERM)
            output, problems = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 0, problems
    assert "Traceback" not in output + problems


def test_pages_of_recordings_stay_when_they_have_been_played(tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "pump.flac", 0.1 * rng.standard_normal(3 * 16_000), 16_000)
    path = tmp_path / "m.toml"
    sensor = '[[sensor]]\nname = "pump"\nsource = "replay:pump.flac?speed=0"\nclip_seconds = 1.0\n'
    path.write_text(f'[store]\nfolder = "data"\nmin_free_gigabytes = 0.0\n[service]\nport = 0\n{sensor}')
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*COMMAND, path], **pipes) as process:
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline()).group()
            lines = iter(process.stderr.readline, "")
            last = next(line for line in lines if "every recording has ended" in line)
            (sensor,) = httpx.get(f"{address}api/sensors", timeout=60).json()["items"]
            clips = httpx.get(f"{address}api/clips", timeout=60).json()["items"]
            process.send_signal(signal.SIGINT)
            output, problems = process.communicate(timeout=120)
        finally:
            process.kill()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ every recording", last)
    assert len(clips) == 3
    assert re.fullmatch(r"records normal sound: .*; the recording has ended", sensor["state_note"])
    assert process.returncode == 0, output + problems


@pytest.mark.parametrize("option", [[], ["--check"]])
def test_a_service_that_others_could_reach_needs_a_secret(tmp_path, option):
    path = write(tmp_path, 'host = "0.0.0.0"\nport = 0')
    found = subprocess.run(
        [*COMMAND, path, *option], input="", capture_output=True, text=True, timeout=120, check=False
    )
    assert found.returncode == 2
    assert "service.host: 0.0.0.0 can be reached from other computers" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = write(tmp_path, f"port = {taken.getsockname()[1]}")
        found = subprocess.run([*COMMAND, path], input="", capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 2
    assert "Address already in use" in found.stderr


def test_the_hash_of_a_password_is_printed_and_a_short_one_refused():
    for password, status in (("correct horse battery", 0), ("short", 2)):
        found = subprocess.run(
            [*COMMAND, "password"], input=f"{password}\n", capture_output=True, text=True, timeout=120, check=False
        )
        assert found.returncode == status
        assert password not in found.stdout + found.stderr
    assert "a password of 5 characters" in found.stderr
