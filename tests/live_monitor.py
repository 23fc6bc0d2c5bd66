"""A monitor that listens to a made-up machine, played much faster than it would sound."""

import contextlib
import tomllib
from dataclasses import replace

import numpy as np
import soundfile

from monitored import RATE, hum, rule
from soundness.detectors.saving import save_detector
from soundness.monitoring.configuration.monitor_settings import load_configuration
from soundness.monitoring.live.engine import Engine
from soundness.monitoring.store.store import Store

SECONDS = 0.5  # of a clip
SMALL = 'clip_seconds = 0.5\nminimum_gap = "0.1s"\nfollows_drift = false\n'


def write_stream(path, n_clips, *, anomalous=(), silent=(), rate=RATE, first_seed=1_000):
    """A machine that hums for so many clips, some of them at another pitch and some without any sound."""
    parts = [
        hum(first_seed + number, is_anomalous=number in anomalous, seconds=SECONDS, rate=rate) * (number not in silent)
        for number in range(1, n_clips + 1)
    ]
    soundfile.write(path, np.concatenate(parts), rate, format="FLAC", subtype="PCM_16")
    return path


def save_fan(calibrated, path, *, n_anomalous=2, n_clips=3, **changes):
    """Save a detector that raises an alarm after two anomalous clips of three."""
    own = rule(n_anomalous=n_anomalous, n_clips=n_clips, every=SECONDS)
    save_detector(replace(calibrated[0], alarm_rule=own, **changes), path)
    return path


def write_configuration(folder, sensors, *, store="", before=""):
    """Write a configuration; sensors are lines of TOML by name."""
    text = f'{before}\n[store]\nfolder = "data"\nmin_free_gigabytes = 0.0\n{store}\n[service]\nis_on = false\n'
    for name, lines in sensors.items():
        text += f'[[sensor]]\nname = "{name}"\n{SMALL}{lines}\n'
    tomllib.loads(text)
    path = folder / "m.toml"
    path.write_text(text, encoding="utf-8")
    return path


def replayed(name, *, speed=0, detector="fan.soundness", more=""):
    """Lines of a sensor that plays a recording with a detector."""
    return f'source = "replay:{name}?speed={speed}"\ndetector = "{detector}"\n{more}'


@contextlib.contextmanager
def open_engine(path, *, sinks=(), n_workers=2, url=""):
    """An engine of a configuration, with its detectors, that has not begun."""
    settings = load_configuration(path)
    store = Store.open(path.parent / settings.store.folder, url=url)
    try:
        engine = Engine(settings, folder=path.parent, store=store, sinks=sinks, n_workers=n_workers)
        assert engine.load_detectors() == {}
        yield engine
        engine.stop.set()
    finally:
        store.close()


def run_engine(path, **options):
    """Run an engine to the end of its sources; rows of its clips by sensor."""
    with open_engine(path, **options) as engine:
        engine.run()
        return rows_of(engine.store)


def rows_of(store):
    """All rows of clips by name of the sensor."""
    return {one.name: store.last_clips(one.id, 100_000) for one in store.sensors()}
