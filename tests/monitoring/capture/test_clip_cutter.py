"""Clips of blocks of any size are slices of the stream."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundness.errors import OutputError
from soundness.monitoring.capture.clip_cutter import ClipCutter

RATE = 1_000


def cut(cutter, samples, sizes, *, start_us=0, rate=RATE):
    """Clips of samples that come in blocks of some sizes, again and again: start, number of samples, samples."""
    at, found, turn = 0, [], 0
    while at < len(samples):
        block = samples[at : at + sizes[turn % len(sizes)]]
        for clip in cutter.add(block, sample_rate=rate, start_us=start_us + round(1e6 * at / rate)):
            found.append((clip.start_us, clip.n_samples, np.fromfile(clip.file, dtype="<f4")))
            clip.file.unlink()
        at, turn = at + len(block), turn + 1
    return found


@settings(max_examples=80, deadline=None)
@given(
    n=st.integers(min_value=1, max_value=3_000),
    sizes=st.lists(st.integers(min_value=1, max_value=1_500), min_size=1, max_size=5),
    n_clip=st.integers(min_value=20, max_value=900),
    share=st.floats(min_value=0.2, max_value=1.0),
    start_us=st.integers(min_value=0, max_value=2 * 10**15),
)
def test_clips_of_blocks_of_any_size_are_slices_of_the_stream(n, sizes, n_clip, share, start_us) -> None:
    n_hop = max(1, round(share * n_clip))
    samples = np.random.default_rng(n).standard_normal(n).astype(np.float32)
    with TemporaryDirectory() as folder:
        cutter = ClipCutter(Path(folder), clip_seconds=n_clip / RATE, hop_seconds=n_hop / RATE)
        found = cut(cutter, samples, sizes, start_us=start_us)
        cutter.drop()
        assert list(Path(folder).iterdir()) == []
    starts = list(range(0, n - n_clip + 1, n_hop))
    assert len(found) == len(starts)
    for start, (time_us, n_samples, values) in zip(starts, found, strict=True):
        assert n_samples == n_clip
        assert np.array_equal(values, samples[start : start + n_clip])
        assert time_us == pytest.approx(start_us + 1e6 * start / RATE, abs=1)


def test_after_a_break_a_clip_begins_anew(tmp_path) -> None:
    cutter = ClipCutter(tmp_path, clip_seconds=1.0, hop_seconds=1.0)
    samples = np.arange(3_000, dtype=np.float32)
    assert cut(cutter, samples[:700], [100]) == []
    assert cutter.start_us == 0
    cutter.drop()
    assert cutter.start_us is None
    ((start_us, _, values),) = cut(cutter, samples[700:1_800], [100], start_us=900_000)
    assert start_us == 900_000
    assert np.array_equal(values, samples[700:1_700])
    cutter.drop()


def test_a_rate_may_change_between_two_clips(tmp_path) -> None:
    cutter = ClipCutter(tmp_path, clip_seconds=0.5, hop_seconds=0.5)
    samples = np.zeros(4_000, dtype=np.float32)
    assert [n for _, n, _ in cut(cutter, samples[:1_000], [100])] == [500, 500]
    cutter.drop()
    assert [n for _, n, _ in cut(cutter, samples, [100], rate=2_000)] == [1_000] * 4
    cutter.drop()


def test_a_folder_that_is_gone_is_named_and_what_grew_is_dropped(tmp_path) -> None:
    folder = tmp_path / "ring"
    folder.mkdir()
    cutter = ClipCutter(folder, clip_seconds=0.5, hop_seconds=0.25)
    cut(cutter, np.zeros(100, dtype=np.float32), [100])
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with pytest.raises(OutputError, match="ring"):
        cut(cutter, np.zeros(400, dtype=np.float32), [100])
    assert cutter.start_us is None
