"""The demonstration, as a new user meets it."""

import json

import matplotlib.image
import pytest

import soundness
from soundness.benchmarking.demonstration import SYSTEMS
from soundness.errors import OutputError, SettingsError


@pytest.mark.slow
def test_a_demonstration_goes_from_nothing_to_figures_and_pictures(tmp_path):
    told = []
    result = soundness.demo(tmp_path / "demo", machines=("fan",), progress=lambda *state: told.append(state))
    figures = json.loads((tmp_path / "demo" / "demo.json").read_text())
    for system in SYSTEMS:
        assert 0.55 < figures[system]["official_score"] < 0.95  # hard, and not hopeless
        assert (result.runs / system / "fan.soundness").exists()
        assert len((result.scores / system / "anomaly_score_fan_section_00_test.csv").read_text().splitlines()) == 100
    assert result.table[0] == ("machine", "figure", *SYSTEMS)
    assert result.table[-1][:2] == ("All", "official score")
    assert float(result.table[-1][2]) == pytest.approx(100 * figures[SYSTEMS[0]]["official_score"], abs=0.05)
    assert len(result.pictures) == 4
    assert all(matplotlib.image.imread(picture).std() > 0.05 for picture in result.pictures)
    assert {what for what, _, _ in told} >= {"fan", "reading fan", "training fan", "scoring with conditional"}
    with pytest.raises(OutputError, match="--overwrite"):
        soundness.demo(tmp_path / "demo")


def test_an_unknown_machine_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(SettingsError, match="turbine"):
        soundness.demo(tmp_path / "demo", machines=("turbine",))
    assert not list((tmp_path / "demo").rglob("*.wav"))


def test_overwriting_spares_a_folder_that_is_no_demonstration(tmp_path):
    precious = tmp_path / "data" / "recording.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    with pytest.raises(OutputError, match="not the folder of a demonstration"):
        soundness.demo(tmp_path, overwrite=True)
    assert precious.read_text() == "years of work"
