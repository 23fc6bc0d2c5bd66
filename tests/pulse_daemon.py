"""A PulseAudio daemon of the tests, with a null sink whose monitor is a microphone."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from soundness.errors import MissingExtraError
from soundness.extras import check_extra

RATE = 48_000


class Daemon:
    """The daemon, which can be unplugged and plugged in again."""

    def __init__(self, folder: Path, n_channels: int) -> None:
        self.folder, self.n_channels = folder, n_channels
        self.socket = folder / "socket"
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_SERVER": f"unix:{self.socket}",
        }

    def plug_in(self) -> None:
        self.socket.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [
                *(
                    "pulseaudio",
                    "-n",
                    "--daemonize=no",
                    "--exit-idle-time=-1",
                    "--use-pid-file=no",
                    "--disable-shm=yes",
                ),
                f"--load=module-native-protocol-unix socket={self.socket} auth-anonymous=1",
                f"--load=module-null-sink sink_name=hall rate={RATE} channels={self.n_channels}",
            ],
            env={name: text for name, text in self.environment.items() if name != "PULSE_SERVER"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        command = ["pactl", "list", "short", "sources"]
        for _ in range(200):
            done = subprocess.run(command, env=self.environment, capture_output=True, check=False, timeout=60)
            if b"hall.monitor" in done.stdout:
                return
            time.sleep(0.05)
        raise AssertionError("pulseaudio does not come up")

    def unplug(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @contextmanager
    def playing(self, samples: np.ndarray) -> Iterator[None]:
        """Samples, shape ``(time, channel)``, again and again into the sink."""
        sound = self.folder / "sound.raw"
        sound.write_bytes((32_767 * samples).astype("<i2").tobytes())
        command = ("pacat", "--raw", f"--rate={RATE}", f"--channels={self.n_channels}", "--format=s16le")
        player = subprocess.Popen(
            ["sh", "-c", 'while cat "$0"; do :; done | exec "$@"', str(sound), *command, "--device=hall"],
            env=self.environment,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield
        finally:
            os.killpg(player.pid, 9)
            player.wait()


@contextmanager
def pulse(folder: Path, *, n_channels: int = 2) -> Iterator[Daemon]:
    """The daemon for the time of a test."""
    try:
        check_extra("microphones")
        import sounddevice  # noqa: F401
    except (MissingExtraError, OSError) as error:
        pytest.skip(f"no PortAudio: {error}")
    for program in ("pulseaudio", "pactl", "pacat"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if not list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
        pytest.skip("the ALSA plugin of PulseAudio is not installed (libasound2-plugins)")
    daemon = Daemon(folder, n_channels)
    try:
        daemon.plug_in()
        yield daemon
    finally:
        daemon.unplug()
