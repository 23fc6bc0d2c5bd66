"""Commands on data sets: inspect and download."""

import io
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from command_line import refusal
from records_server import Fault, serving
from soundness.cli import app
from soundness.data.downloads import RECORDS, ZENODO

(DEV,) = RECORDS[2025]["dev"]


def test_a_folder_without_audio_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for command in (["inspect"], ["train", "--out", tmp_path / "run"]):
        line = refusal(command[0], tmp_path / "empty", *command[1:])
        assert f"{tmp_path / 'empty'}: no audio found" in line


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert str(tmp_path / "nowhere") in refusal("inspect", tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in refusal("evaluate", tmp_path / "nowhere")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    noise, wav, archive = np.random.default_rng(0).normal(scale=0.05, size=1_000_000), io.BytesIO(), io.BytesIO()
    soundfile.write(wav, noise, 16_000, format="WAV")
    with ZipFile(archive, "w") as opened:
        for index in range(3):
            opened.writestr(f"fan/train/section_00_source_train_normal_{index:04d}_v_1.wav", wav.getvalue())
    with serving() as server:
        server.add(DEV, "dev_fan.zip", archive.getvalue())
        yield server


def download(server, *arguments):
    command = ["download", *map(str, arguments), "--part", "dev", "--base-url", server.url]
    return CliRunner().invoke(app, command, catch_exceptions=False)


def test_a_download_names_its_archives_and_the_next_leaves_them(server, tmp_path):
    result = download(server, 2025, "--machines", "fan", "--out", tmp_path)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == ["dev: fan", f"1 archive(s) fetched; 3 files in {tmp_path}"]
    assert "dev_fan.zip, MB" in result.stderr
    assert "7/7" in result.stderr  # 6.0 MB and the names
    again = download(server, 2025, "--machines", "fan", "--out", tmp_path)
    assert again.stdout.splitlines() == [
        "there already, and complete: dev_fan.zip",
        "dev: fan",
        f"0 archive(s) fetched; 3 files in {tmp_path}",
    ]
    assert again.stderr == ""


def test_the_help_names_the_years_and_the_server():
    text = CliRunner().invoke(app, ["download", "-h"], terminal_width=200).stdout
    assert f"{min(RECORDS)} to {max(RECORDS)}" in text
    assert ZENODO in text


def test_a_quiet_download_prints_results_alone(server, tmp_path):
    result = download(server, 2025, "--out", tmp_path, "--quiet", "--keep-archives")
    assert result.stderr == ""
    assert (tmp_path / "archives" / "dev_fan.zip").is_file()


def test_a_quiet_download_says_why_it_waits(server, tmp_path):
    server.faults["dev_fan.zip"].append(Fault(status=503, headers={"Retry-After": "0"}))
    result = download(server, 2025, "--out", tmp_path, "--quiet")
    assert result.exit_code == 0
    assert "HTTP 503 Service Unavailable; trying again in" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2025, "--machines", "fan,pump"), "no machine 'pump' in the data of 2025; there are dev: fan"),
        ((2022,), "no data of the year 2022; there are 2023, 2024, 2025, 2026"),
    ],
)
def test_an_unknown_machine_or_year_is_one_line_and_status_2(server, tmp_path, arguments, message):
    result = download(server, *arguments, "--out", tmp_path / "data")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [f"soundness: {message}"]
    assert not (tmp_path / "data").exists()


def test_an_error_page_is_one_line_and_status_2(server, tmp_path):
    server.faults["dev_fan.zip"].append(Fault(body=b"<html>Sorry</html>", headers={"Content-Type": "text/html"}))
    result = download(server, 2025, "--out", tmp_path)
    assert result.exit_code == 2
    assert result.stderr.startswith(
        f"soundness: {server.url}/records/{DEV}/files/dev_fan.zip/content: the server sends 18"
    )
    assert len(result.stderr.splitlines()) == 1
