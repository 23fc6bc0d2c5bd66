"""A monitor under load, in a process of its own: how late each clip has its row, and how much memory it takes.

python benchmarks/monitor_load.py CONFIGURATION SECONDS OUT.json

Run by `monitor.py`. A clip is late by the time from its last sample to the commit of its row. With a source that plays
faster than it sounds, only the memory means something.
"""

import json
import os
import resource
import sys
import threading
import time
from pathlib import Path

from soundness.monitoring.configuration.monitor_settings import load_configuration
from soundness.monitoring.live.engine import Engine
from soundness.monitoring.store.database import only_monitor
from soundness.monitoring.store.store import Store

EVERY_SECONDS = 5.0


def main(configuration: Path, seconds: float, out: Path) -> None:
    """Run a monitor for a time, and write what was seen of it."""
    settings, folder = load_configuration(configuration), configuration.absolute().parent
    store = Store.open(folder / settings.store.folder)
    late, memory, stop = [], [], threading.Event()
    with only_monitor(store.engine):
        engine = Engine(settings, folder=folder, store=store)
        assert not engine.load_detectors()

        def look(event):
            if event.kind == "clip":
                content = event.content
                end = content["start_us"] / 1e6 + content["seconds"]
                late.append((content["sensor_id"], content["number"], content["outcome"], time.time() - end))

        def watch():
            while not stop.wait(EVERY_SECONDS):
                memory.append((time.monotonic() - began, resident_bytes()))
            engine.stop.set()

        began, used = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        idle = resident_bytes()
        engine.events.call(look)
        threading.Thread(target=watch, daemon=True).start()
        timer = threading.Timer(seconds, stop.set)
        timer.daemon = True
        timer.start()
        engine.run()
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    wall = time.monotonic() - began
    store.close()
    found = {"late": late, "memory": memory, "idle": idle, "cpu": cpu, "wall": wall}
    out.write_text(json.dumps(found), encoding="utf-8")


def resident_bytes() -> int:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]))
