"""A report is one page that a browser shows completely, with the figures and a list of missing parts."""

import csv
import json
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from command_line import refusal, soundness
from soundness.benchmarking.results import BenchmarkResult, Measured, place_of
from soundness.detectors.bulk_scoring import score
from soundness.detectors.saving import load, save_detector
from soundness.evaluation.bootstrap import bootstrap_intervals
from soundness.evaluation.results import evaluate
from soundness.evaluation.score_files import read_scores
from soundness.reports.run_report import report
from soundness.separation.conv_tasnet import ConvTasNet
from soundness.separation.saving import save_separator
from soundness.separation.separator import Improvement, Separator, SeparatorSummary
from soundness.training.run import train

SYSTEMS = ("log-mel-knn", "log-mel-whitened")


@pytest.fixture(scope="module")
def bench(tmp_path_factory, fan, small):
    """The folder of a benchmark of two systems on a small machine."""
    out = tmp_path_factory.mktemp("report") / "bench"
    measured = []
    for system in SYSTEMS:
        scores = place_of(out, "scores", system, 0)
        detectors = train(fan, place_of(out, "runs", system, 0), system=small(system))
        score({"fan": detectors[0]}, [fan], scores, n_workers=1)
        interval = bootstrap_intervals(scores, rng=np.random.default_rng(0), truth=fan).score
        measured.append(
            Measured(
                system=system,
                seed=0,
                evaluation=evaluate(scores),
                interval=interval,
                training_seconds=1.0,
                scoring_seconds=1.0,
            )
        )
    (out / "benchmark.json").write_text(json.dumps({"machine_types": ["fan"]}))
    result = BenchmarkResult(
        data=str(fan),
        machine_types=("fan",),
        separation=dict.fromkeys(SYSTEMS, "off"),
        measured=tuple(measured),
        failures=("conditional, seed 0: <no> memory",),
    )
    result.write(out)
    return out


@pytest.fixture(scope="module")
def run(tmp_path_factory, fan, small):
    """A training with a network."""
    folder = tmp_path_factory.mktemp("report") / "run"
    train(fan, folder, system=small("conditional"))
    return folder


@pytest.fixture(scope="module")
def page(bench, tmp_path_factory):
    """The page of the benchmark."""
    path = tmp_path_factory.mktemp("report") / "pages" / "report.html"
    written = report(bench, path)
    assert written.n_bytes == path.stat().st_size < 1e6
    assert written.n_sounds == 6
    return path


def show(browser, page: Path, *, width: int, scheme: str = "light") -> None:
    wait = pytest.importorskip("selenium.webdriver.support.wait")
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(page.as_uri())
    wait.WebDriverWait(browser, 60).until(lambda one: one.execute_script("return document.readyState") == "complete")


def test_a_browser_shows_the_page_completely_and_asks_nobody(browser, page):
    browser.get("data:,")  # ends what the browser loads by itself when it starts
    browser.get_log("performance")
    show(browser, page, width=1200)
    assert browser.get_log("browser") == []
    widths = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert len(widths) == 6
    assert min(widths) > 0
    durations = browser.execute_async_script(
        "const done = arguments[0], all = [...document.querySelectorAll('audio')];"
        "Promise.all(all.map(a => a.duration || new Promise(r => a.onloadedmetadata = () => r(a.duration)))).then(done)"
    )
    assert durations == pytest.approx([0.4] * 6, abs=0.15)
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {one["params"]["request"]["url"] for one in sent if one["method"] == "Network.requestWillBeSent"}
    assert page.as_uri() in asked
    assert [url for url in asked if not url.startswith((page.as_uri(), "data:"))] == []


@pytest.mark.parametrize("kind", ["benchmark", "training"])
def test_nothing_is_wider_than_a_phone(browser, page, run, tmp_path, kind):
    if kind == "training":
        page = tmp_path / "run.html"
        report(run, page)
    show(browser, page, width=360)
    browser.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    beyond = browser.execute_script(
        "return [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > 360.5 && "
        "!e.closest('svg, thead')).map(e => e.outerHTML.slice(0, 80))"
    )
    assert beyond == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_background(browser, page, scheme):
    """At least 4.5 to 1, the least that WCAG allows for small letters; the deepest cell of the map included."""
    show(browser, page, width=1200, scheme=scheme)
    names = ("paper", "ink", "muted", "accent-ink", "accent", "anomaly", "normal")
    read = "return getComputedStyle(document.documentElement).getPropertyValue('--' + arguments[0]).trim()"
    colour = {
        name: np.array([int(browser.execute_script(read, name)[place : place + 2], 16) / 255 for place in (1, 3, 5)])
        for name in names
    }
    deepest = 0.46 * colour["accent"] + 0.54 * colour["paper"]
    for name in ("ink", "muted", "accent-ink"):
        assert contrast(colour[name], colour["paper"]) >= 4.5
    assert contrast(colour["ink"], deepest) >= 4.5
    assert min(contrast(colour[name], colour["paper"]) for name in ("anomaly", "normal")) >= 3


def contrast(first, second):
    """Of WCAG 2.1."""
    lights = []
    for colour in (first, second):
        linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
        lights.append(float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05)
    return max(lights) / min(lights)


def test_every_link_leads_within_the_page_and_every_picture_has_words(page):
    html = page.read_text(encoding="utf-8")
    anchors = set(re.findall(r'id="([^"]+)"', html))
    assert {"#" + anchor for anchor in anchors} >= set(re.findall(r'href="(#[^"]*)"', html))
    assert {f"system-{name}" for name in SYSTEMS} <= anchors
    assert not re.findall(r'(?:src|href)="(?!#|data:)', html)
    assert all('alt="' in picture for picture in re.findall(r"<img [^>]*>", html))
    assert len(re.findall("<svg", html)) == len(re.findall("<svg[^>]*><title>[^<]+</title>", html)) > 0


def test_the_page_of_a_benchmark_ranks_its_systems_and_names_what_failed(page, bench):
    html = page.read_text(encoding="utf-8")
    scores = {name: evaluate(place_of(bench, "scores", name, 0)).score for name in SYSTEMS}
    best = max(SYSTEMS, key=scores.get)
    assert f"{best} is the best of 2 systems, with a score of {100 * scores[best]:.1f}\N{NO-BREAK SPACE}%" in html
    assert "failed: conditional, seed 0: &lt;no&gt; memory" in html
    sections = re.findall(r'<section id="system-([^"]+)"', html)
    assert sections == sorted(SYSTEMS, key=lambda name: -scores[name])


def test_a_training_without_scores_says_so_and_shows_its_losses(run, tmp_path):
    written = report(run, tmp_path / "run.html")
    html = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert written.n_sounds == 0
    assert written.notes == ("no scores: --scores names the folder that soundness score wrote",)
    assert "Not yet evaluated" in html
    with next(run.glob("training/fan/logs/version_0/metrics.csv")).open() as file:
        losses = [float(row["train_loss"]) for row in csv.DictReader(file) if row["train_loss"]]
    drawn = re.search(r'class="curve train" points="([^"]+)"', html)[1].split()
    assert len(drawn) == len(losses) == 3
    assert f"train {losses[-1]:.4g}" in html


def test_scores_with_truth_give_roc_and_counts(bench, fan, tmp_path):
    scores = place_of(bench, "scores", "log-mel-knn", 0)
    result = soundness(
        "report", place_of(bench, "runs", "log-mel-knn", 0), "--scores", scores, "--truth", fan, "--out",
        tmp_path / "x.html", "-q",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "6 recordings to play" in result.stdout
    html = (tmp_path / "x.html").read_text(encoding="utf-8")
    (read,) = read_scores(scores)
    is_anomaly = np.array(["anomaly" in name for name in read.file_names])
    for domain in ("source", "target"):
        chosen = is_anomaly | np.array([domain in name for name in read.file_names])
        area = roc_auc_score(is_anomaly[chosen], read.anomaly_scores[chosen])
        assert f"{domain} {100 * area:.1f} %" in re.search("<title>ROC of fan[^<]*</title>", html)[0]
    n_found = int(read.decisions[is_anomaly].sum())
    assert f"<dt>anomalies found</dt><dd>{n_found} of 4 ({100 * n_found / 4:.0f} %)</dd>" in html
    assert html.count("source: 2 normal, 2 anomalous") == 2  # the caption, and the words of the picture


def test_recordings_that_are_gone_are_named_in_a_line(bench, fan, tmp_path):
    data = tmp_path / "fan"
    shutil.copytree(fan, data)
    gone = sorted((data / "test").iterdir())[:2]
    for path in gone:
        path.unlink()
    run, scores = (place_of(bench, kind, "log-mel-knn", 0) for kind in ("runs", "scores"))
    written = report(run, tmp_path / "x.html", scores=scores, data=data)
    assert written.notes == (f"2 of 8 scored recordings are not found where the others are, such as {gone[0].name}",)
    assert report(run, tmp_path / "y.html", scores=scores).n_sounds == 6  # where scores.csv says that they were
    shutil.copytree(scores, tmp_path / "scores")
    (tmp_path / "scores" / "scores.csv").unlink()
    assert report(run, tmp_path / "y.html", scores=tmp_path / "scores").n_sounds == 0
    assert "no recordings to play" in (tmp_path / "y.html").read_text(encoding="utf-8")


def test_scores_without_labels_are_shown_without_figures(bench, tmp_path):
    run, scores = (place_of(bench, kind, "log-mel-knn", 0) for kind in ("runs", "scores"))
    blind = tmp_path / "blind"
    blind.mkdir()
    for file in scores.glob("*.csv"):
        names = re.sub(r"section_00_(?:source|target)_test_(?:normal|anomaly)", "<i>clip", file.read_text())
        rows = [f"{index}{row}" for index, row in enumerate(names.splitlines())]
        (blind / file.name).write_text("\n".join(rows) + "\n")
    written = report(run, tmp_path / "x.html", scores=blind)
    html = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert any("no labels, so neither figures nor ROC" in note for note in written.notes)
    assert "8 clips, labels unknown" in html
    assert "<i>clip" not in html
    assert "&lt;i&gt;clip" in html


def test_a_threshold_below_all_scores_is_drawn(bench, tmp_path):
    run, scores = (place_of(bench, kind, "log-mel-knn", 0) for kind in ("runs", "scores"))
    (tmp_path / "high").mkdir()
    for file in scores.glob("anomaly_score_*.csv"):
        rows = [row.split(",") for row in file.read_text().splitlines()]
        high = [f"{name},{float(value) + 1000}" for name, value in rows]
        (tmp_path / "high" / file.name).write_text("\n".join(high) + "\n")
    report(run, tmp_path / "x.html", scores=tmp_path / "high")
    assert 'class="threshold" points="' in (tmp_path / "x.html").read_text(encoding="utf-8")


def test_what_is_no_run_and_no_benchmark_is_refused(bench, run, tmp_path):
    assert "neither run.json nor benchmark.json" in refusal("report", tmp_path, "--out", tmp_path / "x.html")
    assert "has scores of its own" in refusal("report", bench, "--scores", bench, "--out", tmp_path / "x.html")
    assert "is a folder" in refusal("report", run, "--out", tmp_path)
    (tmp_path / "benchmark.json").write_text(json.dumps({"machine_types": []}))
    message = refusal("report", tmp_path, "--out", tmp_path / "x.html")
    assert "a benchmark writes it when all its systems are done" in message
    assert not (tmp_path / "x.html").exists()


def measured_separator():
    improvements = [
        Improvement(
            machine_type=machine,
            snr_db=level,
            si_snr_db=0.0,
            improvement_db=gain,
            n_mixtures=4,
            is_noisy_target=machine == "pump",
        )
        for machine, level, gain in (("fan", -5.0, 7.24), ("fan", 5.0, -1.0), ("pump", -5.0, 3.0))
    ]
    return SeparatorSummary(
        seed=0,
        machine_types=("fan", "pump"),
        n_clips={},
        n_parameters=1234,
        n_steps=5,
        seconds=90.0,
        improvements=tuple(improvements),
        notes=("<few> clips",),
        versions={},
    )


def test_the_quality_of_a_separator_is_shown_where_it_is_known(run, small_separator, tmp_path):
    (detector,) = load(run).values()
    detector = replace(detector, summary=detector.summary.model_copy(update={"separation": "augment"}))
    save_detector(detector, tmp_path / "run" / "fan.soundness")
    (tmp_path / "run" / "run.json").write_text(json.dumps({"machine_types": ["fan", "pump"]}))
    settings = small_separator()
    separator = Separator(ConvTasNet(settings), settings=settings, summary=measured_separator())
    save_separator(separator, tmp_path / "run" / "training" / "separator.soundness")
    written = report(tmp_path / "run", tmp_path / "x.html")
    assert written.notes[0] == "pump: its training was not finished"
    html = written.path.read_text("utf-8")
    rows = re.search("<caption>SI-SNR improvement.*?</table>", html, re.DOTALL)[0].split("<tr")[1:]
    cells = [re.findall("<t[hd][^>]*>([^<]*)<", row) for row in rows]
    assert cells == [
        ["machine", "reference", "mixed at -5 dB", "mixed at 5 dB"],
        ["fan", "clean", "+7.2", "-1.0"],
        ["pump", "noisy", "+3.0", ""],
    ]
    assert "1,234 parameters, 5 steps in 1.5 minutes" in html
    assert "&lt;few&gt; clips" in html


def test_paper_has_what_a_screen_folds_away_and_no_players(browser, page):
    show(browser, page, width=800)
    is_seen = (
        "return document.querySelector('details dl, details table').checkVisibility({contentVisibilityAuto: true})"
    )
    has_player = "return document.querySelector('audio').checkVisibility()"
    assert [browser.execute_script(script) for script in (is_seen, has_player)] == [False, True]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    frames = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"
    deadline = time.monotonic() + 10
    while not browser.execute_script(is_seen) and time.monotonic() < deadline:
        browser.execute_async_script(frames)  # what was folded away is laid out in a later frame
    assert [browser.execute_script(script) for script in (is_seen, has_player)] == [True, False]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
