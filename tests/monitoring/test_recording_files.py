"""Changes in a folder are noticed, also where the system does not report them."""

import subprocess
import sys
import threading
import time

import pytest

from monitored import record
from soundness.monitoring.recording_files import changes


def test_a_change_is_noticed_before_the_next_look_is_due(tmp_path):
    found = changes(tmp_path, poll_seconds=60.0)
    appear = threading.Timer(0.5, record, (tmp_path / "a.wav", 1))
    appear.start()
    started = time.monotonic()
    next(found)
    assert time.monotonic() - started < 30.0
    appear.join()


FEW_FILES = """
import os, resource, sys
from pathlib import Path
from soundness.monitoring.recording_files import changes
import watchfiles
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, 4096))
next(changes(Path(sys.argv[1]), poll_seconds=0.05))
print("looked")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts its open files in /proc")
def test_without_a_free_file_descriptor_a_watch_looks_again_and_again(tmp_path):
    done = subprocess.run([sys.executable, "-c", FEW_FILES, tmp_path], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("looked\n", "")
