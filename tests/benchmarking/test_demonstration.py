"""The demonstration, as a new user meets it."""

import json

import matplotlib.image
import pytest

import soundness
from soundness.benchmarking.demonstration import SYSTEMS
from soundness.errors import OutputError, SettingsError


@pytest.mark.slow
def test_a_demonstration_goes_from_nothing_to_figures_and_pictures(tmp_path):
    shown = []
    made = soundness.demo(tmp_path / "demo", machines=("fan",), progress=lambda *state: shown.append(state))
    assert made.result.systems == SYSTEMS
    assert made.result.failures == ()
    for measured in made.result.measured:
        assert 0.55 < measured.evaluation.official_score < 0.95  # hard, and not hopeless
        place = f"{measured.system}/seed-0"
        assert (made.benchmark / "runs" / place / "fan.soundness").exists()
        scores = made.benchmark / "scores" / place / "anomaly_score_fan_section_00_test.csv"
        assert len(scores.read_text().splitlines()) == 100
    assert json.loads((made.benchmark / "results.json").read_text())["machine_types"] == ["fan"]
    assert len(made.pictures) == len(set(made.pictures)) == 2 + 2 * len(SYSTEMS)
    assert all(matplotlib.image.imread(picture).std() > 0.05 for picture in made.pictures)
    assert {name for name, _, _ in shown} >= {"fan", "systems and seeds"}
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
