"""Log-mels that were kept are the same to the last bit, and belong to one recording, system and separator."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from soundness.audio.log_mel_cache import CachedLogMel, LogMelCache
from soundness.audio.spectra.details import ClipDetails


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"any bytes")
    return path


@pytest.fixture
def store(tmp_path):
    return LogMelCache(tmp_path / "kept")


def kept(seed=0):
    log_mel = np.random.default_rng(seed).standard_normal((16, 9)).astype(np.float32)
    return CachedLogMel(log_mel, has_sound=True, n_samples=4321)


def test_what_is_kept_is_given_back_to_the_last_bit(store, recording, small):
    assert store.get(recording, small(), separator="") is None
    store.put(recording, small(), kept(), separator="")
    found = store.get(recording, small(), separator="")
    assert found.log_mel.dtype == np.float32
    assert np.array_equal(found.log_mel, kept().log_mel)
    assert (found.has_sound, found.n_samples) == (True, 4321)
    assert [path.suffix for path in store.folder.iterdir()] == [".logmel"]


@pytest.mark.parametrize("n_bytes", [0, 5, 17, 100])
def test_an_entry_that_was_cut_is_none(store, recording, small, n_bytes):
    store.put(recording, small(), kept(), separator="")
    (file,) = store.folder.iterdir()
    file.write_bytes(file.read_bytes()[:n_bytes])
    assert store.get(recording, small(), separator="") is None


def detailed(seed=0):
    rng = np.random.default_rng(seed)
    details = ClipDetails(
        envelopes=rng.standard_normal((12, 7)).astype(np.float32),
        long_spectra=rng.standard_normal((3, 65)).astype(np.float32),
    )
    return replace(kept(seed), details=details)


def test_details_are_given_back_to_the_systems_that_use_them_and_are_needed_there(store, recording, small):
    plain, using = small("soundness", "views=[]"), small("soundness", 'views=["tones"]', "scorer.peaks=[]")
    store.put(recording, plain, kept(), separator="")
    assert store.get(recording, using, separator="") is None
    store.put(recording, using, detailed(), separator="")
    found = store.get(recording, using, separator="")
    assert np.array_equal(found.log_mel, kept().log_mel)
    assert np.array_equal(found.details.envelopes, detailed().details.envelopes)
    assert np.array_equal(found.details.long_spectra, detailed().details.long_spectra)
    assert (found.details.envelopes.dtype, found.details.long_spectra.dtype) == (np.float32, np.float32)
    assert store.get(recording, plain, separator="").details is None
    (file,) = store.folder.iterdir()
    whole = file.read_bytes()
    for n_bytes in (600, len(whole) - 1):
        file.write_bytes(whole[:n_bytes])
        assert store.get(recording, using, separator="") is None
    file.write_bytes(whole[:-4] + np.float32(np.nan).tobytes())
    assert store.get(recording, using, separator="") is None
    assert store.get(recording, plain, separator="") is not None


def test_entries_are_read_in_many_threads_at_once(store, recording, small):
    store.put(recording, small(), kept(), separator="")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: store.get(recording, small(), separator="").log_mel.sum(), range(2_000)))
    finally:
        sys.setswitchinterval(interval)
    assert len(set(found)) == 1


def test_another_separator_rate_channel_or_log_mel_is_another_entry(store, recording, small):
    store.put(recording, small(), kept(), separator="")
    assert store.get(recording, small(), separator="f00") is None
    for change in ("audio.sample_rate=32000", "audio.channel=1", "log_mel.n_mels=17", "log_mel.floor_db=-80.0"):
        assert store.get(recording, small("conditional", change), separator="") is None
    assert store.get(recording, small("log-mel-knn"), separator="") is not None  # hears it alike


def test_a_recording_that_changed_is_another(store, recording, small):
    store.put(recording, small(), kept(), separator="")
    before = recording.stat()
    os.utime(recording, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
    assert store.get(recording, small(), separator="") is None
    recording.write_bytes(b"more bytes than there were")
    os.utime(recording, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.get(recording, small(), separator="") is None


def test_a_later_entry_replaces_an_earlier_one(store, recording, small):
    for seed in (0, 1):
        store.put(recording, small(), kept(seed), separator="")
    assert np.array_equal(store.get(recording, small(), separator="").log_mel, kept(1).log_mel)
