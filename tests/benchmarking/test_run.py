"""Every system is measured once: in parallel, after a kill, with figures that are those of the single commands."""

import json
import logging
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import soundness
from conftest import SMALL_EARS, SMALL_NETWORK, SMALL_SEPARATOR
from soundness.benchmarking.run import BenchmarkPlan, _without_training, benchmark
from soundness.detectors.bulk_scoring import score
from soundness.detectors.saving import load_detector
from soundness.errors import OutputError, SettingsError
from soundness.evaluation.results import evaluate
from soundness.settings.loading import load_settings
from soundness.synthetic.make import make_data
from soundness.training.run import train

SMALL = [*SMALL_EARS, *SMALL_NETWORK, *(f"separator.{setting}" for setting in SMALL_SEPARATOR)]
PLAIN = [*SMALL_EARS]
_PATIENCE = 400.0  # seconds, on a machine that has other things to do


def systems(*names, overrides=()):
    found = []
    for name in names:
        small = PLAIN if name.startswith("log-mel") else SMALL
        found.append(load_settings(name, overrides=[*small, *overrides]))
    return found


def run(data, out, *names, overrides=(), seeds=(0,), overwrite=False, n_workers=None, **plan):
    plan = BenchmarkPlan(systems=systems(*names, overrides=overrides), seeds=seeds, **plan)
    return benchmark(data, out, plan, overwrite=overwrite, n_workers=n_workers)[0]


def test_a_system_is_named_once_and_exists():
    with pytest.raises(SettingsError, match="'log-mel-knn' is named twice"):
        BenchmarkPlan(systems=["log-mel-knn", "log-mel-knn"]).settings()
    with pytest.raises(SettingsError, match="no system 'conditonal'"):
        BenchmarkPlan(systems=["conditonal"]).settings()
    assert [settings.name for settings in BenchmarkPlan().settings()] == soundness.system_names()


@pytest.mark.parametrize("seeds", [[], [-1], [0, 0]])
def test_seeds_are_different_whole_numbers(seeds):
    with pytest.raises(SettingsError, match="seeds"):
        BenchmarkPlan(seeds=seeds)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("benchmark") / "out"


@pytest.fixture(scope="module")
def result(fan, out):
    """Two systems, one of which has a network, with two seeds."""
    return run(fan, out, "log-mel-knn", "conditional", seeds=[0, 3], n_workers=2)


def test_each_system_is_logged_with_its_score(fan, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="soundness"):
        run(fan, tmp_path / "out", "log-mel-knn")
    assert re.fullmatch(r"log-mel-knn: score \d+\.\d %, trained in \d+ s", caplog.messages[-1])


@pytest.mark.slow
def test_systems_with_a_network_run_with_every_seed_and_others_once(result):
    runs = [(one.system, one.seed) for one in result.measured]
    assert runs == [("log-mel-knn", 0), ("conditional", 0), ("conditional", 3)]
    assert result.failures == ()
    assert result.separation == {"log-mel-knn": "off", "conditional": "off"}


@pytest.mark.slow
def test_its_figures_are_those_of_the_single_steps(result, fan, tmp_path):
    (settings,) = systems("conditional", overrides=["separation=off"])
    (detector,) = train(fan, tmp_path / "run", system=settings, seed=3)
    score({"fan": detector}, [fan], tmp_path / "scores")
    expected = evaluate(tmp_path / "scores")
    assert result.measured[2].evaluation.machines == expected.machines
    assert result.measured[2].evaluation.score == expected.score


@pytest.mark.slow
def test_the_interval_of_a_score_holds_it(result):
    for one in result.measured:
        assert one.interval.low <= one.interval.value <= one.interval.high
        assert one.interval.value == pytest.approx(one.evaluation.score)


def test_pictures_are_drawn_again_only_where_figures_are_new(fan, tmp_path):
    out = tmp_path / "out"
    plan = BenchmarkPlan(systems=systems("log-mel-knn"), seeds=[0])
    result, files = soundness.benchmark(fan, out, plan)
    pictures = [out / "pictures" / f"{name}.png" for name in ("machines", "scores_log-mel-knn", "roc")]
    assert set(pictures) < set(files)
    drawn = [picture.stat().st_mtime_ns for picture in pictures]
    assert soundness.benchmark(fan, out, plan) == (result, files)
    assert [picture.stat().st_mtime_ns for picture in pictures] == drawn
    pictures[1].unlink()
    soundness.benchmark(fan, out, plan)
    assert pictures[1].exists()
    run(fan, out, "log-mel-knn", "log-mel-whitened")
    assert (out / "pictures" / "scores_log-mel-whitened.png").exists()
    assert pictures[0].stat().st_mtime_ns > drawn[0]


@pytest.mark.slow
def test_the_same_again_does_nothing_twice(result, fan, out):
    scores = out / "scores" / "conditional" / "seed-0" / "anomaly_score_fan_section_00_test.csv"
    before = scores.stat().st_mtime_ns
    again = run(fan, out, "log-mel-knn", "conditional", seeds=[0, 3])
    assert again == result
    assert scores.stat().st_mtime_ns == before


@pytest.mark.slow
def test_more_systems_may_join(result, fan, out):
    more = run(fan, out, "log-mel-knn", "log-mel-whitened")
    assert [one.system for one in more.measured] == ["log-mel-knn", "log-mel-whitened"]
    assert more.measured[0] == result.measured[0]


@pytest.mark.slow
@pytest.mark.usefixtures("result")
def test_a_submission_of_its_scores_knows_the_run_that_made_them(out, tmp_path):
    package = soundness.submission(
        out / "scores" / "conditional" / "seed-3", tmp_path / "package", soundness.SubmissionForm(team="demo")
    )
    detector = load_detector(out / "runs" / "conditional" / "seed-3" / "fan.soundness")
    assert package.meta.system.complexity.total_parameters == detector.summary.n_parameters


@pytest.mark.slow
@pytest.mark.usefixtures("result")
def test_a_recording_is_read_once_for_all(out):
    assert len(list((out / "spectrograms").iterdir())) == 12 + 8  # training clips, and test clips


@pytest.mark.slow
@pytest.mark.usefixtures("result")
def test_systems_that_differ_in_their_scoring_train_one_network(fan, out):
    n_networks = len(list((out / "networks").iterdir()))
    literal = run(fan, out, "report-literal")
    assert len(list((out / "networks").iterdir())) == n_networks
    assert literal.failures == ()
    assert not list((out / "runs" / "report-literal" / "seed-0").rglob("metrics.csv"))  # no log: nothing was trained
    assert literal.measured[0].training_seconds > 0.0


@pytest.mark.slow
@pytest.mark.usefixtures("result")
def test_other_settings_are_refused_for_the_same_name(fan, out):
    with pytest.raises(OutputError, match=r"log-mel-knn.*other data or settings; --overwrite"):
        run(fan, out, "log-mel-knn", overrides=["scorer.n_neighbors=2"])


@pytest.mark.slow
def test_another_description_of_the_same_system_goes_on(result, fan, out):
    again = run(fan, out, "log-mel-knn", overrides=["description=Says the same."])
    assert again.measured == result.measured[:1]


@pytest.mark.slow
@pytest.mark.usefixtures("result")
def test_other_data_are_refused(write_machine, tmp_path, out):
    other = write_machine(tmp_path, n_source=9, n_test=4)
    with pytest.raises(OutputError, match="another data"):
        run(other, out, "log-mel-knn")


def test_a_folder_of_something_else_is_left_alone(fan, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("x")
    with pytest.raises(OutputError, match=r"is not the folder of a benchmark"):
        run(fan, tmp_path / "letters", "log-mel-knn", overwrite=True)
    assert (tmp_path / "letters" / "dear.txt").read_text() == "x"


@pytest.mark.slow
def test_a_system_that_fails_leaves_the_others_their_figures(fan, tmp_path):
    broken = systems("conditional", overrides=["training.learning_rate=1e30"])
    plan = BenchmarkPlan(systems=[*broken, *systems("log-mel-knn")], seeds=[0])
    result, _ = benchmark(fan, tmp_path / "out", plan)
    assert [one.system for one in result.measured] == ["log-mel-knn"]
    assert len(result.failures) == 1
    assert result.failures[0].startswith("conditional, seed 0: ")


BROKEN_PART = """
from soundness.representations.statistics import MeanLogMel

class Broken(MeanLogMel):
    @classmethod
    def fit(cls, machines, settings, context):
        raise ZeroDivisionError("a bug")
"""


def test_a_bug_in_one_system_leaves_the_others_their_figures_and_keeps_its_traceback(
    fan, tmp_path, monkeypatch, caplog
):
    (tmp_path / "broken_part.py").write_text(BROKEN_PART)
    monkeypatch.syspath_prepend(tmp_path)
    broken = systems("log-mel-whitened", overrides=["representation=broken_part:Broken"])
    plan = BenchmarkPlan(systems=[*broken, *systems("log-mel-knn")], seeds=[0])
    result, _ = benchmark(fan, tmp_path / "out", plan)
    assert [one.system for one in result.measured] == ["log-mel-knn"]
    assert result.failures == ("log-mel-whitened: ZeroDivisionError: a bug",)
    assert "in fit" in caplog.text


@pytest.mark.slow
def test_a_separator_is_trained_once_for_all_that_want_the_same(hall, tmp_path):
    names = ("conditional", "fully-connected")
    result = run(hall, tmp_path / "out", *names, machines=["fan"], overrides=["separation=augment"])
    assert result.failures == ()
    assert result.separation == {"conditional": "augment", "fully-connected": "augment"}
    assert len(list((tmp_path / "out" / "separators").glob("*.soundness"))) == 1


@pytest.mark.slow
def test_after_a_kill_what_was_finished_is_not_done_again(fan, tmp_path):
    out = tmp_path / "out"
    program = (
        "import sys; sys.path[:0] = sys.argv[3:]\n"
        "from test_run import run\n"
        "if __name__ == '__main__':\n"
        "    run(sys.argv[1], sys.argv[2], 'log-mel-knn', 'conditional', overrides=['separation=off'], n_workers=1)\n"
    )
    script = tmp_path / "run.py"
    script.write_text(program)
    process = subprocess.Popen([sys.executable, script, fan, out, Path(__file__).parent, Path(__file__).parents[1]])
    slow = out / "figures" / "conditional" / "seed-0.json"
    deadline = time.monotonic() + _PATIENCE
    while not slow.exists():  # the one that takes longest runs first
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = slow.stat().st_mtime_ns
    figures = json.loads(slow.read_text())["measured"]
    result = run(fan, out, "log-mel-knn", "conditional", overrides=["separation=off"])
    assert [one.system for one in result.measured] == ["log-mel-knn", "conditional"]
    assert slow.stat().st_mtime_ns == before
    assert result.measured[1].model_dump(mode="json") == figures


def test_no_separator_is_trained_unasked_and_no_published_figures_stand_beside_synthetic_sounds(tmp_path):
    sizes = {"n_train": 6, "n_target_train": 2, "n_test_normal": 4, "n_test_anomaly": 4, "n_supplemental": 4}
    made = make_data(tmp_path / "data", machines=("fan",), seconds=1.0, n_workers=1, **sizes)
    result = run(made.root, tmp_path / "out", "log-mel-knn", seeds=[0])
    assert result.is_synthetic
    assert result.published == []
    assert not list((tmp_path / "out").glob("separators/*.soundness"))
    (settings,) = systems("conditional")
    assert settings.separation == "auto"
    assert _without_training(settings, has_separator=False).separation == "off"
    assert _without_training(settings, has_separator=True).separation == "auto"
