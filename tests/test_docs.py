"""The documents are true: their examples run as they stand, and their links lead somewhere."""

import os
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])


def code_blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def write_noise(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).normal(scale=0.05, size=24_000), 16_000)


@pytest.mark.slow
def test_the_worked_examples_of_parts_of_ones_own_run_as_they_stand(tmp_path: Path) -> None:
    for index in range(4):
        write_noise(tmp_path / "pump" / "ok" / f"{index}.wav", index)
    write_noise(tmp_path / "pump" / "broken" / "x.wav", 9)
    for seed, domain in enumerate(("source", "target")):
        for index in range(4):
            name = f"section_00_{domain}_train_normal_{index:04d}_n_A.wav"
            write_noise(tmp_path / "data" / "fan" / "train" / name, 10 * seed + index)
        for label in ("normal", "anomaly"):
            for index in range(3):
                name = f"section_00_{domain}_test_{label}_{index:04d}_n_A.wav"
                write_noise(tmp_path / "data" / "fan" / "test" / name, 100 + 10 * seed + index)
    blocks = code_blocks(ROOT / "docs" / "extending.md", "python")
    assert len(blocks) >= 4
    program = "\n".join(blocks)
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0.0 < float(done.stdout.strip()) <= 1.0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_rehearsal_of_the_monitor_ends_with_an_alarm_as_it_stands(tmp_path: Path) -> None:
    page = ROOT / "docs" / "monitor.md"
    (commands,) = (block for block in code_blocks(page, "sh") if "make-data" in block)
    (sensor,) = (block for block in code_blocks(page, "toml") if "replay:fan" in block)
    program = f'set -e; soundness() {{ "{sys.executable}" -m soundness "$@"; }}\n{commands}'
    subprocess.run(["bash", "-c", program], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "monitor.toml").write_text(f"[store]\nmin_free_gigabytes = 0.0\n[service]\nport = 0\n{sensor}")
    command = [sys.executable, "-m", "soundness", "monitor", "monitor.toml"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as monitor:
        try:
            assert monitor.stderr is not None
            lines = []
            for line in monitor.stderr:
                lines.append(line)
                if "every recording has ended" in line:
                    break
        finally:
            monitor.kill()
    assert any("learned from" in line for line in lines), lines
    assert any("ALARM fan" in line for line in lines), lines


@pytest.mark.slow
def test_the_examples_in_python_run_as_they_stand(tmp_path: Path) -> None:
    for folder, first in (("pump", 0), ("fresh", 20), ("today", 40)):
        for index in range(first, first + (4 if folder == "today" else 8)):
            write_noise(tmp_path / folder / f"{index}.wav", index)
    noise, rate = soundfile.read(tmp_path / "today" / "40.wav")
    tone = 0.1 * np.sin(2 * np.pi * 1500 * np.arange(len(noise)) / rate)
    soundfile.write(tmp_path / "today" / "anomalous.wav", noise + tone, rate)
    program = "\n".join(code_blocks(ROOT / "docs" / "python.md", "python"))
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "elsewhere: no such file or folder" in done.stdout


@pytest.mark.slow
def test_the_lines_of_the_readme_for_a_folder_of_ones_own_run_as_they_stand(tmp_path: Path) -> None:
    for index in range(6):
        write_noise(tmp_path / "pump" / "normal" / f"{index}.wav", index)
        write_noise(tmp_path / "today" / f"monday_{index}.wav", 50 + index)
    (block,) = [block for block in code_blocks(ROOT / "README.md", "sh") if "pump" in block]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for line in block.strip().splitlines():
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
    assert list((tmp_path / "scores").glob("anomaly_score_pump_*.csv"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_of_a_document_leads_to_a_file(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing


def test_the_architecture_names_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "soundness"
    modules = [path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    missing = [name for name in modules if not name.startswith("__") and f"`{name}`" not in text]
    assert not missing


def test_every_name_that_a_docstring_or_a_page_refers_to_is_there() -> None:
    files = [*(ROOT / "src" / "soundness").rglob("*.py"), *(ROOT / "docs").glob("*.md")]
    names = {name for file in files for name in re.findall(r"`(soundness(?:\.\w+)+)", file.read_text(encoding="utf-8"))}
    assert len(names) > 30
    assert not [name for name in sorted(names) if not is_there(name)]


def is_there(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_holds_a_place_for_a_figure_that_is_missing(document: Path) -> None:
    assert not re.findall(
        r"\b[A-Z]+_[A-Z]+\b(?<!SOUNDNESS_DATA)(?<!SOUNDNESS_PARTS)(?<!N_BYTES)", document.read_text(encoding="utf-8")
    )
