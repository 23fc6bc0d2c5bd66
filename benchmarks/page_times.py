"""Section of `alarms.py`: how long an explanation takes, and how large and how quick a report is in a real browser."""

import shutil
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

import soundness
from arrangements import real, timed
from promises import Row

__all__ = ["open_browser", "pages"]

N_TIMES = 7
SWITCHES = ("headless", "no-sandbox", "disable-gpu", "disable-background-networking")
LOADED = "return performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"


def pages(work: Path) -> Iterator[Row]:
    """Whole commands in wall-clock time; the median of several."""
    machine, run = real("toycar") / "ToyCar", work / "explained-run"
    if not run.exists():
        soundness.train(machine, run)
    clip = machine / "test" / "section_00_source_test_anomaly_0000_car_1.wav"
    seconds = [timed("explain", run / "ToyCar.soundness", clip, "--out", work / "explained") for _ in range(N_TIMES)]
    middle = statistics.median(seconds)
    measured = f"{middle:.1f} s ({min(seconds):.1f} to {max(seconds):.1f} in {N_TIMES} runs)"
    yield Row("`soundness explain`, a toy car", "under 3 s", measured, middle < 3)
    page = report(work)
    size = page.stat().st_size / 1e6
    yield Row("report of a benchmark of seven machines", "under 10 MB", f"{size:.1f} MB", size < 10)
    loads = loading_times(page)
    middle = statistics.median(loads)
    measured = f"{middle:.1f} s ({min(loads):.1f} to {max(loads):.1f} in {N_TIMES} loads)"
    yield Row("the same, complete in headless Chromium", "within 2 s", measured, middle <= 2)


def report(work: Path) -> Path:
    """The page of a benchmark of two systems on the factory's seven machines."""
    data, out, page = work / "report-data", work / "report-benchmark", work / "report.html"
    if not data.exists():
        soundness.make_data(data, n_train=20, n_target_train=4, n_test_normal=24, n_test_anomaly=24, n_supplemental=0)
    timed("benchmark", data, "--systems", "soundness,log-mel-whitened", "--out", out, "--separation", "off", "-q")
    timed("report", out, "--out", page)
    return page


def loading_times(page: Path) -> list[float]:
    """Seconds until a browser has loaded all of a page, which it has open for the first time once."""
    seconds = []
    with open_browser() as driver:
        for _ in range(N_TIMES):
            driver.get(page.resolve().as_uri())
            seconds.append(float(driver.execute_script(LOADED)))
    return seconds


@contextmanager
def open_browser() -> Iterator[webdriver.Chrome]:
    """Context with a browser without a window, whose console is logged."""
    options = webdriver.ChromeOptions()
    for switch in SWITCHES:
        options.add_argument(f"--{switch}")
    options.binary_location = shutil.which("chromium") or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver") or ""))
    try:
        yield driver
    finally:
        driver.quit()
