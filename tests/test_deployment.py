"""Files of `deploy/`: a container and a systemd unit that the tools for them accept."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from served import served, two_sensors
from soundness.monitoring.configuration.monitor_settings import ServiceSettings
from soundness.monitoring.sinks.topics import Topics

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
UNIT = ROOT / "deploy" / "soundness-monitor.service"


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    checked = subprocess.run([hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_the_container_is_of_two_stages_without_root_and_with_a_health_check() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert sum(line.startswith("FROM ") for line in lines) == 2
    user = max(index for index, line in enumerate(lines) if line.startswith("USER "))
    assert lines[user].split()[1].isdigit()
    assert int(lines[user].split()[1]) > 0
    assert user < next(index for index, line in enumerate(lines) if line.startswith("ENTRYPOINT"))
    assert any(line.startswith("HEALTHCHECK") for line in lines)


def test_the_health_check_of_the_container_passes_while_the_monitor_runs_and_not_afterwards(tmp_path: Path) -> None:
    found = re.search(r"^HEALTHCHECK .*\n\s+CMD (\[.*\])$", DOCKERFILE.read_text(encoding="utf-8"), re.M)
    assert found is not None
    _, _, code = json.loads(found[1])
    usual = f"http://127.0.0.1:{ServiceSettings().port}"
    assert usual in code

    def status() -> int:
        own = code.replace(usual, address)
        return subprocess.run([sys.executable, "-c", own], capture_output=True, check=False).returncode

    with served(tmp_path, two_sensors) as running:
        address = running.address.rstrip("/")
        assert status() == 0
    assert status() != 0


def test_what_the_container_copies_and_installs_is_there() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    copied = [name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M) for name in shlex.split(line)]
    assert len(copied) >= 4
    assert [name for name in copied if not (ROOT / name).exists()] == []
    extras = re.search(r"'\.\[([\w,]+)\]'", text)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert extras is not None
    assert set(extras[1].split(",")) <= set(known)


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/soundness/bin/soundness", sys.executable))
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    problems = [line for line in checked.stderr.splitlines() if UNIT.name in line]
    assert (checked.returncode, problems) == (0, [])


def test_the_automation_of_home_assistant_asks_for_an_entity_that_the_monitor_announces() -> None:
    (automation,) = yaml.safe_load((ROOT / "deploy" / "home-assistant.yaml").read_text(encoding="utf-8"))["automation"]
    (trigger,) = automation["triggers"]
    kind, _, entity = trigger["entity_id"].partition(".")
    found = Topics(prefix="soundness", home_assistant="homeassistant", client_id="soundness").discovery("pump 3")
    announced = {topic.split("/")[1]: about for topic, about in found.items() if about["name"] == "Alarm"}
    assert list(announced) == [kind]
    name = f"{announced[kind]['device']['name']} {announced[kind]['name']}"  # as Home Assistant makes it
    assert re.sub(r"\W+", "_", name.lower()) == entity
    assert "reason" in automation["actions"][0]["data"]["message"]


def test_prometheus_asks_the_port_that_the_monitor_listens_on() -> None:
    (job,) = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    assert job["static_configs"][0]["targets"] == [f"localhost:{ServiceSettings().port}"]
