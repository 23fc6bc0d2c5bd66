"""The whole program at work: sound goes into it, and its pages, its log and its store are looked at."""

import contextlib
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import httpx
import numpy as np

from monitored import RATE, hum

SECONDS = 0.5  # of a clip


class WholeMonitor:
    """A monitor that runs as a program of its own, and hears a humming machine on its standard input."""

    def __init__(self, process, log, store_folder):
        self.process, self.log, self.store_folder = process, log, store_folder
        self.is_anomalous = False
        self.has_sound = True
        self.client = None
        self._end = threading.Event()

    @property
    def output(self):
        return self.log.read_text("utf-8", "replace")

    def until(self, condition, seconds=120.0):
        """What a condition gives once it is true; the log is told where it never is."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert self.process.poll() is None, self.output
            assert time.monotonic() < end, self.output
            time.sleep(0.05)
        return found

    def begin(self):
        """Wait until the pages can be reached, and begin with the sound."""
        pattern = r"pages at (http://\S+)/"
        address = self.until(lambda: re.search(pattern, self.output))[1]
        self.client = httpx.Client(base_url=address, timeout=60.0)
        threading.Thread(target=self._sound, daemon=True).start()

    def _sound(self):
        began, block = time.monotonic(), round(0.1 * RATE)
        for number in range(1_000_000):
            if self._end.wait(max(0.0, began + 0.1 * number - time.monotonic())):
                return
            if self.has_sound:
                samples = hum(number, is_anomalous=self.is_anomalous, seconds=0.1)[:block]
                with contextlib.suppress(OSError):
                    self.process.stdin.write((32_767 * samples).astype("<i2").tobytes())

    def get(self, path):
        return self.client.get(path)

    def sensors(self):
        """Sensors by name, as programs see them."""
        return {one["name"]: one for one in self.get("/api/sensors").json()["items"]}

    def states(self):
        return {name: one["state"] for name, one in self.sensors().items()}

    def problems(self):
        return [one["problem"] for one in self.get("/api/problems").json()["items"]]

    def summary(self):
        """Headline of the overview."""
        found = re.search(r'<h1 class="summary".*?</h1>', self.get("/").text, re.DOTALL)[0]
        return " ".join(re.sub(r"<[^>]+>", " ", found).split())

    def rows(self, query, *values):
        """Rows of the store, as they are now."""
        address = f"file:{self.store_folder}/soundness.sqlite?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as opened:
            return opened.execute(query, values).fetchall()

    def clips(self, sensor):
        """Rows of a sensor's clips, in their order: number, start, length, outcome, note, audio."""
        query = "SELECT number, start_us, seconds, outcome, clips.note, audio, is_anomalous FROM clips "
        return self.rows(query + "JOIN sensors s ON s.id = sensor_id WHERE s.name = ? ORDER BY number", sensor)

    def end(self):
        """Have it end as systemd does; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)

    def close(self):
        self._end.set()
        self.process.kill()
        if self.client is not None:
            self.client.close()


@contextlib.contextmanager
def whole_monitor(configuration, *, store_folder, env=None, log="log"):
    """The program for the time of a block."""
    log = configuration.parent / log
    command = [sys.executable, "-m", "soundness", "monitor", configuration]
    with log.open("wb") as output:
        pipes = {"stdin": subprocess.PIPE, "stdout": output, "stderr": output}
        process = subprocess.Popen(command, bufsize=0, env=env, **pipes)  # a pipe that is broken is no error at the end
    with process:
        found = WholeMonitor(process, log, store_folder)
        try:
            found.begin()
            yield found
        finally:
            found.close()


def are_whole(clips):
    """True if rows of a sensor are numbered one by one, and each begins where the one before ends."""
    numbers = [row[0] for row in clips]
    ends = np.array([row[1] + round(1e6 * row[2]) for row in clips])
    starts = np.array([row[1] for row in clips])
    return numbers == list(range(1, len(clips) + 1)) and bool((np.abs(starts[1:] - ends[:-1]) < 260_000).all())
