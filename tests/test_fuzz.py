"""Ten thousand mutants of files that people and machines hand over: each is used, or refused in one line.

Seeds are fixed, so a mutant that fails once fails always; its file is kept in the test's folder.
"""

import hashlib
import json
import random
import signal
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from safetensors.numpy import load as load_arrays

from monitored import age, hum, record, rule
from mutants import mutated_bytes, mutated_json, mutated_sealed, mutated_text
from resealed import split
from soundness.audio.reading import read_info, read_waveform
from soundness.data.clips import read_attributes
from soundness.detectors.saving import save_detector
from soundness.errors import SoundnessError
from soundness.evaluation.score_files import ClipScore, read_scores, write_scores
from soundness.files.run_folders import begin_run, read_identity
from soundness.monitoring.watching.log import CsvLog, opened_log, rows_after
from soundness.monitoring.watching.watch import watch
from soundness.settings.loading import load_settings

RATE = 16_000
LONGEST_SECONDS = 10.0
LARGEST_BYTES = 2 << 30


@contextmanager
def limited():
    """Context of at most two more gibibytes of memory and ten seconds for each mutant, on systems that have limits."""
    if sys.platform == "win32":
        yield lambda: None
        return
    import resource

    def late(*_):
        raise TimeoutError(f"a mutant took over {LONGEST_SECONDS:g} s")

    before, handler = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGALRM, late)
    used = next(
        int(line.split()[1]) << 10
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmSize:")
    )
    resource.setrlimit(resource.RLIMIT_AS, (used + LARGEST_BYTES, before[1]))
    try:
        yield lambda: signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def check(n: int, make: Callable[[random.Random], bytes], use, path, *, seed: int = 0) -> None:
    """Use as many mutants in turn; fail with the kinds of errors that are none of the package's own."""
    failures: dict[str, str] = {}
    n_refused = 0
    with limited() as start_clock:
        for index in range(n):
            path.write_bytes(make(random.Random(1_000_003 * seed + index)))
            start_clock()
            began = time.perf_counter()
            try:
                use(path)
            except SoundnessError as error:
                n_refused += 1
                if "\n" in str(error) or len(str(error)) > 2_000:
                    failures.setdefault("a message of several lines", f"{index}: {str(error)[:300]!r}")
            except Exception as error:  # noqa: BLE001  # each kind is reported
                frame = traceback.extract_tb(error.__traceback__)[-1]
                own = next(
                    (f for f in reversed(traceback.extract_tb(error.__traceback__)) if "/soundness/" in f.filename),
                    frame,
                )
                kind = f"{type(error).__name__} in {own.filename.rpartition('/soundness/')[2]}:{own.lineno}"
                if kind not in failures:
                    path.with_name(f"failed-{len(failures)}{path.suffix}").write_bytes(path.read_bytes())
                    failures[kind] = f"{index}: {error!s:.150}"
            if time.perf_counter() - began > LONGEST_SECONDS / 2:
                failures.setdefault("slow", f"{index}: {time.perf_counter() - began:.1f} s")
    assert not failures, "\n".join(f"{kind}: mutant {example}" for kind, example in sorted(failures.items()))
    assert n_refused > n / 20


FORMATS = {
    "wav": ("WAV", "PCM_16"), "float.wav": ("WAV", "FLOAT"), "adpcm.wav": ("WAV", "IMA_ADPCM"),
    "flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "VORBIS"), "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"), "w64": ("W64", "PCM_16"), "caf": ("CAF", "PCM_16"), "au": ("AU", "PCM_16"),
    "rf64": ("RF64", "PCM_24"),
}  # fmt: skip


@pytest.mark.parametrize("suffix", FORMATS)
def test_recordings(suffix, tmp_path):
    kind, subtype = FORMATS[suffix]
    path = tmp_path / f"clip.{suffix}"
    seeds = []
    for n_channels in (1, 2):
        soundfile.write(path, np.stack([hum(1)[:3200]] * n_channels, axis=1), RATE, format=kind, subtype=subtype)
        seeds.append(path.read_bytes())

    def use(path):
        read_info(path)
        samples = read_waveform(path, sample_rate=RATE, fmax=8_000.0, min_samples=512, max_samples=RATE)
        assert np.isfinite(samples).all()

    check(300, lambda rng: mutated_bytes(rng.choice(seeds), rng, rng.choice(seeds)), use, path)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return record(tmp_path_factory.mktemp("clip") / "a.wav")


def sealed_parts(path):
    _, payload, about = split(path.read_bytes())
    return about, load_arrays(payload)


def use_detector(clip):
    from soundness.detectors.saving import load_detector

    def use(path):
        detector = load_detector(path)
        found = detector.score_recording(clip)
        assert np.isfinite(found.anomaly_score)
        assert found.verdict in ("anomalous", "normal", "cannot tell")
        detector.calibration_note  # noqa: B018  # it reads the calibration
        with suppress(SoundnessError):
            detector.required_rule()

    return use


@pytest.mark.parametrize("system", ["soundness", "log-mel-knn", "conditional"])
def test_detectors(system, detectors, clip, tmp_path):
    from dataclasses import replace

    from soundness.detectors.saving import save_detector

    seed = tmp_path / "seed.soundness"
    detector = replace(detectors[system], alarm_rule=rule())
    save_detector(detector, seed)
    about, arrays = sealed_parts(seed)
    n = {"soundness": 1600, "log-mel-knn": 800, "conditional": 300}[system]
    check(n, lambda rng: mutated_sealed(about, arrays, rng), use_detector(clip), tmp_path / "mutant.soundness")


def test_separators(separator_file, tmp_path):
    from soundness.separation.saving import load_separator

    about, arrays = sealed_parts(separator_file)
    sound = np.zeros((1, 4_000), np.float32)

    def use(path):
        load_separator(path).separate(sound)

    check(150, lambda rng: mutated_sealed(about, arrays, rng, kind="separator"), use, tmp_path / "mutant.soundness")


def scoring_by_export(clip):
    """Function that loads an export and scores a clip by it."""
    pytest.importorskip("onnxruntime")
    from soundness.detectors.exported import ExportedDetector

    def use(path):
        detector = ExportedDetector.load(path)
        assert np.isfinite(detector.score_recording(clip).anomaly_score)
        detector.calibration_note  # noqa: B018
        with suppress(SoundnessError):
            detector.required_rule()

    return use


def test_exports(exported, clip, tmp_path):
    use = scoring_by_export(clip)
    graph = (exported / "fan.onnx").read_bytes()
    about = json.loads((exported / "fan.json").read_text())
    (tmp_path / "fan.onnx").write_bytes(graph)
    check(300, lambda rng: mutated_text(json.dumps(about).encode(), rng), use, tmp_path / "fan.json")

    import onnx
    from onnx.helper import set_model_props

    from soundness.detectors.export_metadata import fingerprint

    model = onnx.load_from_string(graph)

    def sealed_again(rng):
        """Metadata changed, and the graph and they sealed again with each other's checksum."""
        changed = mutated_json(about, rng)
        with suppress(TypeError, AttributeError, ValueError):
            set_model_props(model, {"soundness": fingerprint(changed)})
            content = model.SerializeToString()
            (tmp_path / "fan.onnx").write_bytes(content)
            changed["sha256"] = hashlib.sha256(content).hexdigest()
        return json.dumps(changed).encode()

    check(700, sealed_again, use, tmp_path / "fan.json", seed=1)


def test_what_graphs_of_exports_carry_along(exported, clip, tmp_path):
    pytest.importorskip("onnxruntime")
    import onnx
    from onnx.helper import set_model_props

    from soundness.detectors.export_metadata import fingerprint
    from soundness.detectors.saving import load

    model = onnx.load_from_string((exported / "fan.onnx").read_bytes())
    about = json.loads((exported / "fan.json").read_text())
    carried = {each.key: each.value for each in model.metadata_props if each.key != "soundness"}
    assert carried.keys() == {"normal_clips", "parts"}
    parts = {name: json.loads(text) for name, text in carried.items()}

    def sealed_again(rng):
        name = str(rng.choice(sorted(parts)))
        text = json.dumps(mutated_json(parts[name], rng))
        with suppress(TypeError, ValueError):
            set_model_props(model, {"soundness": fingerprint(about), **carried, name: text})
        content = model.SerializeToString()
        (tmp_path / "fan.onnx").write_bytes(content)
        return json.dumps(about | {"sha256": hashlib.sha256(content).hexdigest()}).encode()

    def use(path):
        (detector,) = load(path).values()
        assert np.isfinite(detector.score_recording(clip).anomaly_score)

    check(200, sealed_again, use, tmp_path / "fan.json", seed=3)


def test_graphs_of_exports(exported, clip, tmp_path):
    use = scoring_by_export(clip)
    graph = (exported / "fan.onnx").read_bytes()
    about = json.loads((exported / "fan.json").read_text())

    def graph_sealed_again(rng):
        content = mutated_bytes(graph, rng)
        (tmp_path / "fan.onnx").write_bytes(content)
        return json.dumps(about | {"sha256": hashlib.sha256(content).hexdigest()}).encode()

    check(200, graph_sealed_again, use, tmp_path / "fan.json", seed=2)


@pytest.fixture
def log(tmp_path, calibrated, fan_clips):
    """A log of each kind, of a watch that has scored five recordings."""
    save_detector(replace(calibrated[0], alarm_rule=rule()), tmp_path / "fan.soundness")
    for suffix in ("csv", "sqlite"):
        watch(
            fan_clips, detector=tmp_path / "fan.soundness", log=tmp_path / f"a.{suffix}", once=True, poll_seconds=0.02
        )
    return tmp_path


@pytest.fixture
def fan_clips(tmp_path):
    for index in range(5):
        record(tmp_path / "clips" / f"a{index}.wav", 60 + index, is_anomalous=index == 1)
    (tmp_path / "clips" / "bad.wav").write_bytes(b"RIFF" + bytes(100))
    age(tmp_path / "clips" / "bad.wav", 100)
    return tmp_path / "clips"


def test_text_logs(log, tmp_path):
    content = (log / "a.csv").read_bytes()
    with opened_log(tmp_path / "empty.csv") as (store, _):

        def use(path):
            try:
                CsvLog(path, store).close()
            finally:
                with store.transaction() as transaction:
                    transaction.connection.exec_driver_sql("DELETE FROM recordings")

        check(600, lambda rng: mutated_text(content, rng), use, tmp_path / "mutant.csv")


def test_database_logs(log, tmp_path):
    content, mutant = (log / "a.sqlite").read_bytes(), tmp_path / "mutant.sqlite"

    def cells_changed(rng):
        """A log of which a cell holds something else, or bytes are changed."""
        for end in ("-wal", "-shm"):
            mutant.with_name(f"{mutant.name}{end}").unlink(missing_ok=True)
        if rng.random() < 0.6:
            return mutated_bytes(content, rng)
        other = tmp_path / "other.sqlite"
        other.write_bytes(content)
        table = rng.choice(["recordings", "clips", "sensors", "alembic_version"])
        value = rng.choice([b"\x00\xff", "text", -1, 2**62, 1e300, 0.5, "", "\n"])
        with closing(sqlite3.connect(other)) as database, database, suppress(sqlite3.Error):
            names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            database.execute(f"UPDATE {table} SET {rng.choice(names)} = ?", (value,))
        return other.read_bytes()

    def use(path):
        with opened_log(path) as (store, _):
            assert len(rows_after(store, 0)) <= 6
            store.sensors()

    check(120, cells_changed, use, mutant)


def test_score_tables(tmp_path):
    write_scores(
        tmp_path, "fan", "section_00", [ClipScore(f"a{index}.wav", 0.5 * index, index % 2) for index in range(6)]
    )
    for name in ("anomaly_score", "decision_result"):
        path = tmp_path / f"{name}_fan_section_00_test.csv"
        content = path.read_bytes()
        check(600, lambda rng, content=content: mutated_text(content, rng), lambda path: read_scores(path.parent), path)
        path.write_bytes(content)


def test_settings(tmp_path):
    from importlib import resources

    systems = resources.files("soundness.settings").joinpath("systems")
    content = b"\n".join(systems.joinpath(name).read_bytes() for name in ("soundness.toml",))
    check(800, lambda rng: mutated_text(content, rng), load_settings, tmp_path / "mine.toml")


def test_identities_of_runs(tmp_path):
    folder = tmp_path / "a" / "run"
    identity = {"system": "x", "seed": 0, "machine_types": ["fan", "pump"], "data": "abc"}
    outside = tmp_path / "a" / "mine.result"
    outside.parent.mkdir()
    outside.write_text("mine")

    def use(_):
        (folder / "fan.result").write_text("earlier")
        begin_run(
            folder, identity, kind="training", file_name="run.json", existing="replace",
            parts=lambda file: [f"{name}.result" for name in read_identity(file)["machine_types"]],
        )  # fmt: skip
        assert outside.exists()

    folder.mkdir()
    text = json.dumps(identity).encode()

    def make(rng):
        if rng.random() < 0.2:
            names = [
                rng.choice(
                    ["fan", "../mine", "../../x", "/etc/x", "..", "", ".", "a/b", "a\0", "\ud800", "C:x", "x" * 400]
                )
            ]
            return json.dumps({**identity, "machine_types": names}).encode()
        return mutated_text(text, rng) if rng.random() < 0.4 else json.dumps(mutated_json(identity, rng)).encode()

    check(400, make, use, folder / "run.json")


def test_attributes(tmp_path):
    content = b"file_name,d1p,d1v,d2p,d2v\n" + b"".join(b"train/a%d.wav,vel,%d,car,B\n" % (i, i) for i in range(4))
    check(500, lambda rng: mutated_text(content, rng), read_attributes, tmp_path / "attributes_00.csv")
