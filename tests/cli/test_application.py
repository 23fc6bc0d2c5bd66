"""Exit status, messages and help of the command line."""

import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from command_line import soundness
from recordings import write
from soundness.cli.application import app


def test_the_version_is_printed() -> None:
    assert soundness("--version").stdout == "soundness 0.1.0\n"


def test_the_package_runs_as_a_module_with_its_exit_status(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "soundness")
    version = subprocess.run((*command, "--version"), capture_output=True, text=True, check=True)
    assert version.stdout == "soundness 0.1.0\n"
    missing = subprocess.run((*command, "inspect", tmp_path / "none"), capture_output=True, text=True, check=False)
    assert missing.returncode == 2
    assert str(tmp_path / "none") in missing.stderr


def test_training_a_network_without_torch_says_what_to_install(tmp_path: Path, pump: Path) -> None:
    program = "import sys; sys.modules['torch'] = None; from soundness.cli import main; main()"
    arguments = ("train", str(pump), "--out", str(tmp_path / "r"), "--system", "conditional")
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith('soundness: this needs torch, not installed here: python -m pip install "torch')
    assert done.stderr.count("\n") == 1


def test_inspecting_and_evaluating_need_no_torch(tmp_path: Path, pump: Path, run: Path) -> None:
    write(tmp_path / "t" / "section_00_source_test_normal_0000_x.wav", seed=70)
    write(tmp_path / "t" / "section_00_source_test_anomaly_0000_x.wav", seed=73)
    assert soundness("score", run, tmp_path / "t", "--out", tmp_path / "scores").exit_code == 0
    program = "import sys; sys.modules['torch'] = None; from soundness.cli import main; main()"
    for arguments in (("inspect", str(pump)), ("evaluate", str(tmp_path / "scores"))):
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_a_training_without_a_network_does_without_lightning_which_takes_seconds_to_load(
    tmp_path: Path, pump: Path
) -> None:
    program = "import sys; sys.modules['lightning_fabric'] = None; from soundness.cli import main; main()"
    arguments = ("train", str(pump), "--out", str(tmp_path / "run"), "-q")
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_soundness_loads_nothing_heavy() -> None:
    program = "import sys, soundness; print(*sorted({'torch', 'numpy', 'typer', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_status_130(tmp_path: Path, pump: Path) -> None:
    command = Path(sys.executable).with_name("soundness")
    out = tmp_path / "run"
    arguments = (
        "train",
        str(pump),
        "--out",
        str(out),
        "--system",
        "conditional",
        "--set",
        "training.max_steps=100000",
        "-q",
    )
    process = subprocess.Popen([command, *arguments], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(out.rglob("last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "soundness: interrupted" in errors
    assert "Traceback" not in errors
    assert list(out.rglob("last.ckpt"))  # --resume can go on


COMMANDS = {
    "Data": ["download", "make-data", "inspect"],
    "Train and score": [
        "demo", "systems", "train", "score", "evaluate", "report", "train-separator", "separate",
    ],
    "In use": ["calibrate", "alarms", "watch", "explain", "enroll", "drift", "export", "devices", "monitor"],
    "Research": ["benchmark", "submission"],
}  # fmt: skip


def test_the_help_groups_the_commands_in_the_order_of_their_use() -> None:
    text = soundness("--help").stdout
    groups, group = {}, ""
    for line in text.splitlines():
        if line.startswith("╭─"):
            group = line.strip("╭─╮ ")
        elif line.startswith("│ ") and group in COMMANDS and line[2] != " ":
            groups.setdefault(group, []).append(line.split()[1])
    assert groups == COMMANDS
    assert list(groups) == list(COMMANDS)


def test_the_stars_of_patterns_stand_in_the_help() -> None:
    text = " ".join(soundness("train", "--help").stdout.replace("│", " ").split())
    assert "as in '*_left.wav'" in text
    assert "as in '2024-03-*/*.wav'" in text
    assert "as in '*_DE_time'" in text


@pytest.mark.parametrize("command", [command for commands in COMMANDS.values() for command in commands])
def test_the_help_of_every_command_describes_it(command: str) -> None:
    result = soundness(command, "--help")
    assert result.exit_code == 0
    assert len(result.stdout) > 300


@pytest.mark.parametrize("name", [one.name for one in app.registered_commands])
def test_the_help_of_each_command_has_an_example_that_can_be_typed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = soundness(name, "--help").stdout
    (example,) = re.findall(r"Example: soundness (.*)", text)
    arguments = shlex.split(example)
    assert arguments[0] == name
    found = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]  # of a group
    assert found.make_context(name, arguments[1:])


@pytest.mark.parametrize("name", ["run", "init", "learn", "feedback", "password"])
def test_the_help_of_each_command_of_the_monitor_has_an_example_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    (example,) = re.findall(r"Example: soundness (.*)", soundness("monitor", name, "--help").stdout)
    group, command, *arguments = shlex.split(example.partition(" > ")[0])
    assert (group, command) == ("monitor", name)
    monitor = typer.main.get_command(app).commands["monitor"]  # type: ignore[attr-defined]  # of a group
    assert monitor.commands[name].make_context(name, arguments)


INTERRUPTED = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv[1:] = ["systems"]
from soundness.cli import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("module", ["soundness.cli.application", "typer", "rich.table"])
def test_ctrl_c_while_the_command_line_is_loaded_is_no_traceback(module: str) -> None:
    program = INTERRUPTED.format(module=module)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (-signal.SIGINT, 130)
    assert "Traceback" not in done.stderr
