"""The command `download` as its user meets it."""

import io
from zipfile import ZipFile

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from records_server import Fault, serving
from soundness.cli import app
from soundness.data.downloads import RECORDS, ZENODO

(DEV,) = RECORDS[2025]["dev"]


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
    given = ["download", *map(str, arguments), "--part", "dev", "--base-url", server.url]
    return CliRunner().invoke(app, given, catch_exceptions=False)


def test_a_download_says_what_came_and_the_next_that_it_is_there(server, tmp_path):
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


def test_the_help_names_the_years_and_the_server_that_there_are():
    text = CliRunner().invoke(app, ["download", "-h"], terminal_width=200).stdout
    assert f"{min(RECORDS)} to {max(RECORDS)}" in text
    assert ZENODO in text


def test_a_quiet_download_says_only_what_came(server, tmp_path):
    result = download(server, 2025, "--out", tmp_path, "--quiet", "--keep-archives")
    assert result.stderr == ""
    assert (tmp_path / "archives" / "dev_fan.zip").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2025, "--machines", "fan,pump"), "no machine 'pump' in the data of 2025; there are dev: fan"),
        ((2022,), "no data of the year 2022; there are 2023, 2024, 2025, 2026"),
    ],
)
def test_what_there_is_not_is_one_line_and_status_2(server, tmp_path, arguments, message):
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
