"""Jobs of a benchmark run in processes of their own, each finished once."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from soundness.benchmarking.jobs import Job, is_random
from soundness.benchmarking.run import BenchmarkPlan, benchmark
from soundness.errors import OutputError

_PATIENCE = 400.0  # seconds, on a machine that has other things to do


@pytest.mark.parametrize(
    ("system", "overrides", "expected"),
    [("log-mel-knn", (), False), ("log-mel-knn", ("calibration=held-out",), True), ("conditional", (), True)],
)
def test_a_seed_changes_networks_and_held_out_clips(small, system, overrides, expected):
    assert is_random(small(system, *overrides)) == expected


def test_a_job_is_named_with_its_seed_where_that_matters_and_is_not_finished_before_it_ran(small, tmp_path):
    job = Job(
        settings=small("log-mel-knn"),
        seed=3,
        data=tmp_path,
        truth=tmp_path,
        machines=("fan",),
        separator=None,
        out=tmp_path,
        identity="x",
    )
    assert job.name == "log-mel-knn"
    assert replace(job, settings=small("conditional")).name == "conditional, seed 3"
    assert job.run == tmp_path / "runs" / "log-mel-knn" / "seed-3"
    assert job.finished() is None


@pytest.mark.slow
def test_workers_end_with_the_process_that_started_them(fan, tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        "import sys; sys.path[:0] = sys.argv[3:]\n"
        "from test_run import run\n"
        "if __name__ == '__main__':\n"
        "    endless = ['training.max_steps=99999', 'training.held_out=0']\n"
        "    run(sys.argv[1], sys.argv[2], 'conditional', overrides=endless, n_workers=1)\n"
    )
    process = subprocess.Popen(
        [sys.executable, script, fan, tmp_path / "out", Path(__file__).parent, Path(__file__).parents[1]]
    )
    deadline = time.monotonic() + _PATIENCE
    while not (workers := [pid for pid in _children(process.pid) if (tmp_path / "out" / "runs").exists()]):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while any(_is_alive(pid) for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


CRASHING = """
import os, signal
from soundness.representations.statistics import MeanLogMel

class Crashing(MeanLogMel):
    @classmethod
    def fit(cls, machines, settings, context):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_the_other_jobs_their_figures(fan, small, tmp_path, monkeypatch):
    (tmp_path / "crashing_part.py").write_text(CRASHING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    systems = {
        "a": small("log-mel-knn", 'representation="crashing_part:Crashing"'),
        "b": small("log-mel-knn"),
    }
    settings = [own.model_copy(update={"name": name}) for name, own in systems.items()]
    result, _ = benchmark(fan.parent, tmp_path / "out", BenchmarkPlan(systems=settings, seeds=[0]), n_workers=1)
    assert [one.system for one in result.measured] == ["b"]
    assert len(result.failures) == 1
    assert "a: its process was killed" in result.failures[0]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"identity": "x", "measured": {"system": 5}}'])
def test_damaged_figures_of_a_job_are_refused_by_name(small, tmp_path, content):
    job = Job(
        settings=small("log-mel-knn"), seed=0, data=tmp_path, truth=tmp_path, machines=("fan",), separator=None,
        out=tmp_path, identity="x",
    )  # fmt: skip
    job.figures.parent.mkdir(parents=True)
    job.figures.write_text(content)
    with pytest.raises(OutputError, match=r"seed-0\.json: (damaged|measured with other)"):
        job.finished()
