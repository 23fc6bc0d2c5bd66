"""The page of an explanation is shown completely by a real browser, on a desk and on a phone."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from soundness.reports.explained_clip import explain_recording
from soundness.reports.explanation_page import write_explanation


@pytest.fixture(scope="module")
def explained(detectors, fan):
    return explain_recording(detectors["log-mel-whitened"], next((fan / "test").glob("*anomaly*")), normal=None)


@pytest.fixture(scope="module")
def page(explained, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("explanation") / "pages" / "clip.html"
    write_explanation(explained, path)
    return path


@pytest.mark.parametrize("width", [360, 1200])
def test_every_picture_and_sound_loads_and_nothing_is_wider_than_the_screen(browser, page, width):
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(page.as_uri())
    assert browser.get_log("browser") == []
    widths = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert len(widths) == 3
    assert min(widths) > 0
    durations = browser.execute_async_script(
        "const done = arguments[0], all = [...document.querySelectorAll('audio')];"
        "Promise.all(all.map(a => a.duration || new Promise(r => a.onloadedmetadata = () => r(a.duration)))).then(done)"
    )
    assert durations == pytest.approx([0.4] * 2, abs=0.15)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_page_contains_the_explanation_and_loads_nothing(page, explained):
    html = page.read_text(encoding="utf-8")
    text = html.replace("\N{NO-BREAK SPACE}", " ")
    assert all(sentence in text for sentence in explained.sentences)
    assert explained.decision_words in text
    assert text.index("ANOMALOUS") < text.index("score")
    assert f"their sum is {explained.explanation.total:.3g}" in text
    assert explained.nearest.name in text
    assert not re.findall(r'(?:src|href)="(?!#|data:)', html)
    assert all('alt="' in picture for picture in re.findall(r"<img [^>]*>", html))
    assert len(html) < 500_000


def test_a_name_with_markup_is_shown_and_not_run(detectors, fan, tmp_path):
    clip = tmp_path / "<script>alert(1).wav"
    clip.write_bytes(next((fan / "test").glob("*anomaly*")).read_bytes())
    write_explanation(explain_recording(detectors["log-mel-knn"], clip, normal=fan), tmp_path / "x.html")
    html = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert" in html
    assert "<script>alert" not in html


def test_nothing_loads_matplotlib():
    code = "import sys, soundness.reports.explanation_picture; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("verdict", ["anomalous", "normal", "cannot tell"])
def test_the_verdict_is_the_first_and_largest_text_and_no_page_contradicts_it(browser, explained, tmp_path, verdict):
    is_anomalous = verdict == "anomalous"
    score = replace(explained.score, decision=int(is_anomalous), cannot_tell="no sound" * (verdict == "cannot tell"))
    shown = replace(explained, score=score, regions=explained.regions if is_anomalous else ())
    write_explanation(shown, tmp_path / "page.html")
    browser.get((tmp_path / "page.html").as_uri())
    first, size, largest = browser.execute_script(
        "const size = e => parseFloat(getComputedStyle(e).fontSize);"
        "const all = [...document.body.querySelectorAll('*')].filter(e => e.textContent.trim());"
        "const word = document.querySelector('h1 strong');"
        "return [document.body.innerText.trim().split('\\n')[0].split(' ').slice(0, 2).join(' '), size(word),"
        " Math.max(...all.filter(e => e !== word).map(size))]"
    )
    assert first.startswith(verdict.upper())
    assert size > largest
    text = browser.execute_script("return document.body.innerText").lower()
    assert ("anomalous" in text.replace("above the threshold", "")) == is_anomalous
    assert ("share of the anomaly" in text) == is_anomalous
    assert "score" in text
    assert f"threshold {score.threshold:.3g}" in text


def test_p_value_and_its_clips_are_shown(explained, detectors):
    calibration = detectors["log-mel-whitened"].calibration
    assert f"{calibration.p_value(explained.score.anomaly_score):.2g}: of " in explained.p_value_words
    n_clips = int(re.search(r"of (\d+) normal", explained.p_value_words)[1])
    assert n_clips in calibration.n_clips.values()


def test_legend_and_footnote_say_the_same_of_the_bars(page):
    text = page.read_text(encoding="utf-8")
    assert text.count("share of the anomaly: bands at the right, times below") == 1
    assert text.count("shares of the anomaly: bands at the right, times below") == 1
    assert "share of the score" not in text
