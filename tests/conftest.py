"""Small machines on disk, networks that train in a blink, and real recordings where there are any."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from soundness.settings import SystemSettings, load_settings, system_names

RATE = 16_000

SMALL_EARS = ("log_mel.n_mels=16", "log_mel.n_fft=512", "log_mel.hop_length=256")
SMALL_NETWORK = (
    "autoencoder.segment_frames=8",
    "autoencoder.channels=[4]",
    "autoencoder.latent_features=4",
    "training.batch_size=16",
    "training.max_steps=30",
    "training.steps_per_epoch=10",
    "training.patience=50",
)


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread():
    """Two cores and small tensors: threads cost more than they give."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real recordings, which are not part of the project."""
    folder = os.environ.get("SOUNDNESS_DATA")
    if folder is None:
        pytest.skip("SOUNDNESS_DATA names no folder of real recordings")
    return Path(folder)


def machine_sound(rng, *, hz, seconds=0.4, rate=RATE):
    """A hum of one pitch in noise."""
    time = np.arange(round(seconds * rate)) / rate
    return 0.05 * rng.standard_normal(len(time)) + 0.2 * np.sin(2 * np.pi * hz * time)


@pytest.fixture(scope="session")
def write_machine() -> Callable[..., Path]:
    """Writes a machine's folder in the challenge's layout: a hum whose pitch tells speed and domain."""

    def write(
        root,
        machine="fan",
        *,
        n_source=8,
        n_target=4,
        n_test=0,
        attributes=True,
        seconds=0.4,
        rate=RATE,
        seed=0,
    ):
        rng = np.random.default_rng(seed)
        folder = Path(root) / machine
        for split, counts in (("train", (n_source, n_target)), ("test", (n_test, n_test))):
            for domain, count in zip(("source", "target"), counts, strict=True):
                for index in range(count):
                    speed = index % 2
                    hz = 400 + 150 * speed + 600 * (domain == "target")
                    label = "normal" if split == "train" or index % 2 == 0 else "anomaly"
                    suffix = f"vel_{speed}" if attributes else "noAttribute"
                    path = folder / split / f"section_00_{domain}_{split}_{label}_{index:04d}_{suffix}.wav"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    samples = machine_sound(rng, hz=hz + 900 * (label == "anomaly"), seconds=seconds, rate=rate)
                    soundfile.write(path, samples, rate)
        return folder

    return write


@pytest.fixture(scope="session")
def small() -> Callable[..., SystemSettings]:
    """Settings of a system, made small; further settings as ``key=value``."""

    def settings(system="conditional", *overrides):
        has_network = load_settings(system).autoencoder is not None
        return load_settings(system, overrides=[*SMALL_EARS, *(SMALL_NETWORK if has_network else ()), *overrides])

    return settings


@pytest.fixture(scope="session")
def fan(tmp_path_factory, write_machine) -> Path:
    """A machine's folder: 8 source and 4 target training clips, 4 + 4 test clips."""
    return write_machine(tmp_path_factory.mktemp("data"), n_test=4)


@pytest.fixture(scope="session")
def runs(tmp_path_factory, fan, small):
    """A run folder of every system that comes with the package, trained on `fan`."""
    from soundness.training import train  # importing it takes seconds, and few tests need it

    folders = {}
    for system in system_names():
        folders[system] = tmp_path_factory.mktemp("runs") / system
        train(fan, folders[system], system=system, settings=small(system))
    return folders


@pytest.fixture(scope="session")
def detectors(runs):
    """The detector of `fan`, by system."""
    from soundness.bundle import load_detector

    return {system: load_detector(folder / "fan.soundness") for system, folder in runs.items()}


@pytest.fixture(scope="session")
def waveform():
    """Half a second of a hum in noise, shape ``(1, time)``."""
    return machine_sound(np.random.default_rng(7), hz=650, seconds=0.5).astype(np.float32)[None]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(folder)
