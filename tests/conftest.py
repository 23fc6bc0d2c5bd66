"""Small machines on disk, networks that train in a blink, and real recordings where there are any."""

import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from soundness.settings.loading import load_separator_settings, load_settings, system_names
from soundness.settings.separation import SEPARATOR_SIZES, SeparatorSettings
from soundness.settings.system import SystemSettings

os.environ.pop("COLUMNS", None)  # of the terminal that the tests are started on: commands print as into a file

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
SMALL_EMBEDDING = (
    "embedding.segment_frames=8",
    "embedding.channels=[4, 8]",
    "embedding.spectrum_channels=[8]",
    "embedding.n_features=16",
    "embedding.n_sub_clusters=4",
    "embedding.batch_size=16",
    "embedding.max_steps=30",
    "embedding.steps_per_epoch=10",
)
SMALL_EPOCHS = ("training.n_epochs=40", "training.learning_rate=0.02")  # in place of steps, from decibels as they are
SMALL_SEPARATOR = (
    "n_fft=1024",  # few frames a second
    "batch_size=2",
    "crop_seconds=[0.2, 0.3]",
    "minutes=1000",  # the steps end a training, so that it can be repeated exactly
    "max_steps=6",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with files that have slow tests, and end with the smallest: no process is left alone with a long one."""
    n_tests = Counter(item.path for item in items)
    with_slow = {item.path for item in items if item.get_closest_marker("slow") is not None}
    items.sort(key=lambda item: (item.path not in with_slow, -n_tests[item.path]))  # a stable order: files stay whole


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


@pytest.fixture(scope="session")
def published(real_data) -> Path:
    """Published figures and scores of the 2025 challenge, which lie beside the real recordings."""
    folder = real_data.parent / "published"
    if not folder.is_dir():
        pytest.skip(f"no published scores at {folder}")
    return folder


@pytest.fixture(scope="session")
def published_scores(published) -> Path:
    """Somebody else's scores of the development set of 2025."""
    return published / "scores_frozen_beats_1nn_dcase2025_dev"


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
def write_supplemental() -> Callable[..., Path]:
    """Writes supplemental clips into a machine's folder: the machine alone, or noise alone."""

    def write(folder, *, n_clean=0, n_noise=0, seconds=0.4, rate=RATE, seed=0):
        rng = np.random.default_rng(seed)
        (folder / "supplemental").mkdir(exist_ok=True)
        time = np.arange(round(seconds * rate)) / rate
        for index in range(n_clean):
            samples = 0.2 * np.sin(2 * np.pi * (400 + 150 * index) * time)
            soundfile.write(folder / "supplemental" / f"section_00_machine_{index:04d}_.wav", samples, rate)
        for index in range(n_noise):
            samples = 0.1 * rng.standard_normal(len(time))
            soundfile.write(folder / "supplemental" / f"section_00_noise_{index:04d}_.wav", samples, rate)
        return folder

    return write


@pytest.fixture(scope="session")
def write_hall(write_machine, write_supplemental) -> Callable[..., Path]:
    """Writes two machines: of the fan there are clean clips, of the pump there is noise alone."""

    def write(root, *, n_clean=4, n_noise=5, rate=RATE, **options):
        fan = write_machine(root, "fan", rate=rate, **options)
        pump = write_machine(root, "pump", rate=rate, seed=1, **options)
        if n_clean:
            write_supplemental(fan, n_clean=n_clean, rate=rate)
        if n_noise:
            write_supplemental(pump, n_noise=n_noise, rate=rate, seed=2)
        return Path(root)

    return write


@pytest.fixture(scope="session")
def small() -> Callable[..., SystemSettings]:
    """Settings of a system, made small, and those of its separator; further settings as ``key=value``."""

    def settings(system="conditional", *overrides):
        training = load_settings(system).training
        separator = [f"separator.{override}" for override in SMALL_SEPARATOR]
        network = () if training is None else SMALL_NETWORK
        if training is not None and training.n_epochs is not None:
            network += SMALL_EPOCHS
        small = [*SMALL_EARS, *network, *SMALL_EMBEDDING, *separator, *overrides]
        return load_settings(system, overrides=small)

    return settings


@pytest.fixture(scope="session")
def small_separator() -> Callable[..., SeparatorSettings]:
    """Settings of a separator, made small; further settings as ``key=value``."""

    def settings(*overrides):
        return load_separator_settings(overrides=[*SMALL_SEPARATOR, *overrides])

    return settings


@pytest.fixture(scope="session")
def hall(tmp_path_factory, write_hall) -> Path:
    """The data set of `write_hall`, with test clips."""
    return write_hall(tmp_path_factory.mktemp("hall"), n_test=2)


@contextmanager
def measured_on(seconds: float) -> Iterator[float]:
    """Context in which separators are measured on mixtures of a length that takes less time than their training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("soundness.separation.measurement._SECONDS", seconds)
        yield seconds


@pytest.fixture(scope="module")
def mixture_seconds() -> Iterator[float]:
    """Length of the mixtures that separators of a module are measured on."""
    with measured_on(1.0) as seconds:
        yield seconds


@pytest.fixture(scope="module")
def few_blocks() -> Iterator[None]:
    """Separators of a module that are shallower than those that people train."""
    small = SEPARATOR_SIZES["cpu"].model_copy(update={"n_blocks": 3, "n_repeats": 1})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SEPARATOR_SIZES, "cpu", small)
        yield


@pytest.fixture(scope="session")
def separator_file(tmp_path_factory, hall, small_separator) -> Path:
    """A separator that was trained on `hall`, a little."""
    from soundness.separation.training import train_separator

    path = tmp_path_factory.mktemp("separator") / "hall.soundness"
    with measured_on(1.0):
        train_separator(hall, path, settings=small_separator("max_steps=50"))
    return path


@pytest.fixture(scope="session")
def separator(separator_file):
    """The separator of `separator_file`."""
    from soundness.separation.saving import load_separator

    return load_separator(separator_file)


@pytest.fixture(scope="session")
def fan(tmp_path_factory, write_machine) -> Path:
    """A machine's folder: 8 source and 4 target training clips, 4 + 4 test clips."""
    return write_machine(tmp_path_factory.mktemp("data"), n_test=4)


class WhenAsked(dict[str, Any]):
    """Values by system, each of which is made when it is first asked for."""

    def __init__(self, make):
        super().__init__()
        self._make = make

    def __missing__(self, system):
        assert system in system_names()
        self[system] = self._make(system)
        return self[system]


@pytest.fixture(scope="session")
def runs(tmp_path_factory, fan, small):
    """A run folder of each system that comes with the package, trained on `fan` when it is first asked for."""

    def trained(system):
        from soundness.training.run import train  # importing it takes seconds, and few tests need it

        folder = tmp_path_factory.mktemp("runs") / system
        train(fan, folder, system=small(system))
        return folder

    return WhenAsked(trained)


@pytest.fixture(scope="session")
def detectors(runs):
    """The detector of `fan`, by system."""
    from soundness.detectors.saving import load_detector

    return WhenAsked(lambda system: load_detector(runs[system] / "fan.soundness"))


@pytest.fixture(scope="session")
def separating_detector(tmp_path_factory, fan, small, separator_file):
    """A detector of `fan` that scores the machine sound separated from a recording."""
    from soundness.training.run import train

    settings = small("log-mel-whitened", "separation=denoise")
    out = tmp_path_factory.mktemp("denoise") / "run"
    (detector,) = train(fan, out, system=settings, separator=separator_file)
    return detector


@pytest.fixture(scope="session")
def calibrated(tmp_path_factory, small):
    """A detector of one hum without a network, calibrated by its 24 training clips, and its file."""
    from monitored import record
    from soundness.training.run import train

    root = tmp_path_factory.mktemp("calibrated")
    for seed in range(24):
        record(root / "data" / "fan" / "train" / f"section_00_source_train_normal_{seed:04d}_a_1.wav", seed)
    (detector,) = train(root / "data", root / "run", system=small("log-mel-knn"))
    return detector, root / "run" / "fan.soundness"


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


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A real browser, without a window and without anything to say to the network."""
    found = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in found:
        pytest.skip("no Chromium on this machine (Debian: chromium and chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    options = webdriver.ChromeOptions()
    options.binary_location = found[0]
    for switch in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
        "disable-component-update", "disable-sync", f"user-data-dir={tmp_path_factory.mktemp('browser')}",
    ):  # fmt: skip
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=service.Service(found[1]))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The file of a detector of one hum, whitened, trained by 24 clips."""
    import soundness
    from monitored import SMALL_EARS, record

    folder = tmp_path_factory.mktemp("trained")
    for seed in range(24):
        record(folder / "data" / "fan" / "train" / f"section_00_source_train_normal_{seed:04d}_a.wav", seed)
    soundness.train(
        folder / "data", folder / "run", system=soundness.load_settings("log-mel-whitened", overrides=SMALL_EARS)
    )
    return folder / "run" / "fan.soundness"


@pytest.fixture(scope="session")
def exported(detectors, tmp_path_factory) -> Path:
    """Folder with the export of a small detector."""
    from soundness.exporting.write import export_detector

    folder = tmp_path_factory.mktemp("export")
    export_detector(detectors["log-mel-whitened"], folder)
    return folder


@pytest.fixture(scope="session")
def workshop(tmp_path_factory, small):
    """A folder with normal clips of two seconds in ``fan/normal``, and a detector of them in ``run``."""
    from monitored import write_fan
    from soundness.training.run import train

    root = tmp_path_factory.mktemp("workshop")
    for seed in range(12):
        write_fan(root / "fan" / "normal", seed=100 + seed)
    settings = small("log-mel-whitened", "log_mel.n_mels=32")
    train(root / "fan", root / "run", system=settings)
    return root


@pytest.fixture(scope="session")
def workshop_detector(workshop):
    """The detector of `workshop`."""
    from soundness.detectors.saving import load_detector

    return load_detector(workshop / "run" / "fan.soundness")


@pytest.fixture(scope="session")
def anomalous_clip(workshop):
    """A clip of `workshop` with a tone from 0.6 s to 1.4 s."""
    from monitored import write_fan

    return write_fan(workshop / "fan" / "test", tone=(0.6, 1.4))


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of the tests' own."""
    from postgres import postgres_programs, postgres_server

    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL (initdb, pg_ctl) is not installed")
    with postgres_server(programs) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request) -> str:
    """Address of a new database: empty for SQLite, which lies in the store's folder."""
    return "" if request.param == "sqlite" else request.getfixturevalue("postgres").new_database()
