"""Microphones: the monitor of a null sink of PulseAudio, played into, unplugged and plugged in again."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from command_line import soundness
from pulse_daemon import RATE, Daemon, pulse
from soundness.errors import DataError, SettingsError
from soundness.monitoring.sources.addresses import find_source
from soundness.monitoring.sources.microphone import MicrophoneSource
from soundness.monitoring.sources.port_audio import Microphone, find_microphone
from soundness.monitoring.sources.protocol import Block, Lost, SourceSettings, SourceState


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    with TemporaryDirectory() as folder, pulse(Path(folder)) as found:  # a socket's path must be short
        for name in ("HOME", "XDG_RUNTIME_DIR", "PULSE_SERVER"):
            monkeypatch.setenv(name, found.environment[name])
        yield found


def tone(hz: float) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE)


def settings(channel: int = 0) -> SourceSettings:
    return SourceSettings(name="m", folder=Path(), channel=channel, sample_rate=None, clip_seconds=1.0)


def pitch(samples: np.ndarray, rate: int) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))) * rate / len(samples))


@pytest.mark.parametrize(("channel", "hz"), [(0, 500.0), (1, 1200.0)])
def test_each_channel_of_a_microphone_can_be_used(daemon: Daemon, channel: int, hz: float) -> None:
    stop, blocks = threading.Event(), []
    with daemon.playing(np.stack([tone(500.0), tone(1200.0)], axis=1)):
        for item in find_source(f"mic:pulse?rate={RATE}", settings(channel)).items(SourceState(), stop):
            if isinstance(item, Block) and np.abs(item.samples).min(initial=1.0) < 0.01 < np.abs(item.samples).max():
                blocks.append(item.samples)
            if sum(map(len, blocks)) >= RATE:
                stop.set()
    assert pitch(np.concatenate(blocks), RATE) == pytest.approx(hz, abs=10.0)


def test_two_sensors_share_a_device_that_is_opened_once(daemon: Daemon) -> None:
    stop, pitches, n_open = threading.Event(), {}, []

    def listen(channel: int) -> None:
        blocks = []
        own = MicrophoneSource(device="pulse", channel=channel, sample_rate=RATE)
        for item in own.items(SourceState(), stop):
            if not isinstance(item, Block):
                blocks.clear()
            elif np.abs(item.samples).max() > 0.01:
                blocks.append(item.samples)
                n_open.append(own.port_audio.inputs.n_open)
            if sum(map(len, blocks)) >= RATE:
                pitches[channel] = pitch(np.concatenate(blocks[1:]), RATE)
                if len(pitches) == 2:
                    stop.set()
        assert own.port_audio.inputs.n_open <= 1

    with daemon.playing(np.stack([tone(500.0), tone(1200.0)], axis=1)):
        threads = [threading.Thread(target=listen, args=(channel,)) for channel in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60.0)
    stop.set()
    assert pitches == {0: pytest.approx(500.0, abs=10.0), 1: pytest.approx(1200.0, abs=10.0)}
    assert set(n_open) == {1}


def test_a_microphone_that_is_unplugged_is_a_fault_until_it_is_back(daemon: Daemon) -> None:
    stop, found = threading.Event(), []
    watchdog = threading.Timer(60.0, stop.set)
    watchdog.start()
    for item in find_source("mic:pulse", settings()).items(SourceState(), stop):
        kind = type(item), isinstance(item, Lost) and item.is_fault
        if not found or found[-1] != kind:
            found.append(kind)
            if found == [(Block, False)]:
                daemon.unplug()
            elif found == [(Block, False), (Lost, True)]:
                daemon.plug_in()
            elif len(found) == 3:
                stop.set()
    watchdog.cancel()
    assert found == [(Block, False), (Lost, True), (Block, False)]


@pytest.mark.usefixtures("daemon")
def test_a_microphone_that_is_not_there_is_a_fault_that_names_those_that_are() -> None:
    stop = threading.Event()
    for item in find_source("mic:elsewhere", settings()).items(SourceState(), stop):
        assert isinstance(item, Lost)
        assert item.is_fault
        assert "no such microphone: elsewhere; there is: " in item.reason
        assert "pulse" in item.reason
        stop.set()


@pytest.mark.usefixtures("daemon")
def test_a_channel_that_a_microphone_lacks_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"mic:pulse: pulse has 32 channels; channel 40 \(counted from 0\)"):
        list(find_source("mic:pulse", settings(40)).items(SourceState(), threading.Event()))


@pytest.mark.usefixtures("daemon")
def test_devices_lists_the_microphones() -> None:
    stop = threading.Event()
    for _ in find_source("mic:nowhere", settings()).items(SourceState(), stop):
        stop.set()  # it has looked for devices anew
    listed = soundness("devices")
    assert listed.exit_code == 0
    assert "pulse" in listed.stdout
    assert "mic:" in listed.stdout


def test_two_microphones_whose_names_hold_the_text_are_both_named() -> None:
    both = [
        Microphone(index=n, name=name, interface="ALSA", n_channels=1, sample_rate=RATE)
        for n, name in enumerate(["USB one", "USB two", "USB"])
    ]
    assert find_microphone("two", both).index == 1
    assert find_microphone("usb", both).index == 2
    assert find_microphone("0", both).index == 0
    with pytest.raises(DataError, match="several microphones of this name: usb; there are: 0 USB one, 1 USB two"):
        find_microphone("usb", both[:2])


@pytest.mark.usefixtures("daemon")
def test_a_device_that_is_plugged_in_beside_an_open_one_closes_it_for_a_moment() -> None:
    stop, found = threading.Event(), []
    open_one = MicrophoneSource(device="pulse", channel=0)
    for item in open_one.items(SourceState(), stop):
        if not isinstance(item, Lost) and not found:
            open_one.port_audio.look_again("default")  # it is there for a process that looks now
        found.append(item)
        if isinstance(item, Block) and any(isinstance(one, Lost) for one in found):
            stop.set()
    (lost,) = (item for item in found if isinstance(item, Lost))
    assert lost.reason.startswith("microphones are looked for anew")
    assert not lost.is_fault


def test_a_machine_without_portaudio_is_told_what_to_install() -> None:
    program = (
        "import ctypes.util, sys; ctypes.util.find_library = lambda name: None;"
        "sys.modules['_sounddevice_data'] = None;"
        "from soundness.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program, "devices"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "microphones need the library PortAudio" in done.stderr
