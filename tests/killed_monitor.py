"""Run a monitor and kill it at random moments, again and again, and then let it run to its end.

python tests/killed_monitor.py CONFIGURATION SEED KILLS

Each run is a process of its own that begins as a copy of this one, which has imported everything: so a kill comes at
any moment of a run, the start included. Prints the number of kills.
"""

import multiprocessing
import random
import sys
from pathlib import Path

import soundness
from soundness.detectors import saving  # noqa: F401  # so that no run imports it anew
from soundness.monitoring.live import engine  # noqa: F401
from soundness.monitoring.sinks import delivery  # noqa: F401
from soundness.monitoring.store import database, store  # noqa: F401
from soundness.service import monitor  # noqa: F401


def main(configuration: Path, seed: int, n_kills: int) -> int:
    """Exit status of the last run, which is not killed."""
    rng, context, killed = random.Random(seed), multiprocessing.get_context("fork"), 0
    while True:
        process = context.Process(target=soundness.monitor, args=(configuration,))
        process.start()
        process.join(None if killed == n_kills else rng.uniform(0.0, 0.6))
        if not process.is_alive():
            print(killed)
            return process.exitcode or 0
        process.kill()
        process.join()
        killed += 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
