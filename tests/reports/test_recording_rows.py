"""A report lists every recording: sorted by a click, with reason, time and the explanation where there is one."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from soundness.detectors.saving import load_detector, save_detector
from soundness.evaluation.score_files import ClipScore, write_scores
from soundness.reports.explained_clip import explain_recording
from soundness.reports.explanation_page import write_explanation
from soundness.reports.run_report import report

MACHINES = [f"pump_{number:03}" for number in range(30)]
N_CLIPS = 20


def write_table(folder, rows):
    names = ("path", "machine", "time", "score", "p_value", "threshold", "verdict", "reason")
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])


@pytest.fixture(scope="module")
def site(workshop, tmp_path_factory):
    """A run of many machines and scores of each; one recording of the first could not be read."""
    root = tmp_path_factory.mktemp("site")
    detector = load_detector(workshop / "run" / "fan.soundness")
    rng, rows = np.random.default_rng(0), []
    for machine in MACHINES:
        save_detector(replace(detector, machine_type=machine), root / "run" / f"{machine}.soundness")
        values = rng.gamma(3.0, 1.0, N_CLIPS)
        names = [f"{machine}_{number:03}.wav" for number in range(N_CLIPS)]
        pairs = [(name, float(value)) for name, value in zip(names, values, strict=True)]
        clips = [ClipScore(name, value, int(value > 3)) for name, value in pairs]
        write_scores(root / "scores", machine, "section_00", clips)
        rows += [
            (f"/site/{name}", machine, f"2026-01-{1 + number:02}T08:00:00+00:00", repr(float(value)), "0.1", "3.0",
             "anomalous" if value > 3 else "normal", "a hum near 70 Hz" if value > 3 else "")
            for number, (name, value) in enumerate(zip(names, values, strict=True))
        ]  # fmt: skip
    rows.append(("/site/cut.wav", MACHINES[0], "", "", "", "", "cannot tell", "truncated"))
    write_table(root / "scores", rows)
    (root / "run" / "run.json").write_text(json.dumps({"machine_types": MACHINES}))
    return root, rows


@pytest.fixture(scope="module")
def page(site):
    root, _ = site
    written = report(root / "run", root / "pages" / "report.html", scores=root / "scores")
    assert written.n_bytes < 1e6
    return written.path


def test_every_recording_is_listed_and_the_verdict_is_the_first_and_largest_text(browser, page, site):
    _, rows = site
    browser.get(page.as_uri())
    n_rows, n_machines = browser.execute_script(
        "return [document.querySelectorAll('.recordings tbody tr').length,"
        " document.querySelectorAll('details.machine:not([open])').length]"
    )
    assert (n_rows, n_machines) == (len(rows), len(MACHINES))
    n_anomalous = sum(row[6] == "anomalous" for row in rows)
    heading = browser.execute_script("return document.querySelector('h1').innerText")
    assert heading.startswith(f"{n_anomalous} ANOMALOUS")
    assert "1 CANNOT TELL" in heading
    assert browser.execute_script("return document.body.innerText.trim()").startswith(heading)


def test_a_click_sorts_and_a_link_unfolds_its_machine(browser, page):
    browser.get(page.as_uri())
    scores = (
        "const table = document.querySelector('.recordings'); table.tHead.rows[0].cells[1].click();"
        "return [...table.tBodies[0].rows].map(row => Number(row.cells[1].dataset.order)).filter(Number.isFinite)"
    )
    falling, rising = browser.execute_script(scores), browser.execute_script(scores)
    assert falling == sorted(falling, reverse=True)
    assert rising == falling[::-1]
    counts = browser.execute_script(
        "return [...document.querySelectorAll('main table.sortable')][0].innerText.split('\\n').length"
    )
    assert counts > len(MACHINES)
    browser.execute_script("document.querySelector('tbody a').click()")
    is_open = "return document.getElementById(location.hash.slice(1)).open"
    assert browser.execute_async_script(f"setTimeout(() => arguments[0]((() => {{{is_open}}})()), 100)")


def test_scores_are_drawn_over_time(page):
    html = page.read_text(encoding="utf-8")
    assert html.count("over time, from 2026-01-01") == len(MACHINES)


def test_an_explanation_beside_the_page_is_linked(workshop, anomalous_clip, tmp_path):
    run = workshop / "run"
    detector = load_detector(run / "fan.soundness")
    write_explanation(explain_recording(detector, anomalous_clip, normal=None), tmp_path / "why" / "x y.html")
    (tmp_path / "why" / "other.html").write_bytes(b"<title>\xff something else</title>")
    write_scores(tmp_path / "scores", "fan", "section_00", [ClipScore(anomalous_clip.name, 5.0, 1)])
    html = report(run, tmp_path / "report.html", scores=tmp_path / "scores").path.read_text(encoding="utf-8")
    assert f'<a href="why/x%20y.html">{anomalous_clip.name}</a>' in html
