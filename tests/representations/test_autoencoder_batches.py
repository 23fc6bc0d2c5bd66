"""Which segments a network is trained on: at random positions, or each position once an epoch."""

import numpy as np
import pytest
import torch

from soundness.audio.log_mel import Spectrograms
from soundness.representations.autoencoder_batches import TrainingClips, training_batches

N_MELS, N_FRAMES = 16, 8
SCALE = (torch.zeros(2, N_MELS), torch.ones(2, N_MELS))


def numbered_clips(lengths, *, recordings=None):
    """Clips in which the value of each frame tells the clip (hundreds) and the frame."""
    log_mels = [
        np.full((N_MELS, length), 100.0 * index, np.float32) + np.arange(length, dtype=np.float32)
        for index, length in enumerate(lengths)
    ]
    return TrainingClips(
        [Spectrograms(log_mel, log_mel) for log_mel in log_mels],
        np.eye(len(lengths), dtype=np.float32),
        ["fan source"] * len(lengths),
        range(len(lengths)) if recordings is None else recordings,
    )


@pytest.fixture
def batches_of(small):
    def make(clips, *overrides, seed=0, scale=SCALE):
        return training_batches(clips, small("baseline-mse", *overrides), scale=scale, seed=seed)

    return make


def firsts(batches, epoch):
    """First frame of each segment of an epoch, in order."""
    return [value for segments, _, _ in batches.epoch(epoch) for value in segments[:, 0, 0].tolist()]


def test_each_position_occurs_once_an_epoch_or_held_out(batches_of):
    batches = batches_of(numbered_clips([27, 27, 17]), "training.batch_size=16", "training.held_out=0.1")
    positions = {100.0 * clip + frame for clip, n in enumerate([20, 20, 10]) for frame in range(n)}
    held_out = batches.held_out[0][:, 0, 0].tolist()
    assert len(held_out) == 2 + 2 + 1
    for epoch in range(3):
        trained = firsts(batches, epoch)
        assert sorted(trained + held_out) == sorted(positions)
    assert [len(segments) for segments, _, _ in batches.epoch(0)] == [16, 16, 13]
    assert (batches.steps_per_epoch, batches.n_steps) == (3, 3 * 40)


def test_segments_are_whole_and_have_the_condition_of_their_clip(batches_of):
    batches = batches_of(numbered_clips([27, 17]), "training.held_out=0")
    for segments, references, conditions in batches.epoch(0):
        assert references is segments
        assert segments.shape[1:] == (N_MELS, N_FRAMES)
        assert torch.equal(segments, (segments[:, :1, :1] + torch.arange(float(N_FRAMES))).expand(-1, N_MELS, -1))
        assert torch.equal(conditions.argmax(dim=1), segments[:, 0, 0].div(100).floor().long())


def test_the_order_depends_on_the_seed_and_the_epoch_alone(batches_of):
    clips = numbered_clips([40])
    one, same, other = (batches_of(clips, "training.held_out=0", seed=seed) for seed in (1, 1, 2))
    assert firsts(one, 5) == firsts(same, 5)
    assert firsts(one, 5) != firsts(one, 6)
    assert firsts(one, 5) != firsts(other, 5)
    assert firsts(one, 5) == firsts(one, 5)


def test_a_last_batch_of_one_segment_is_left_out_and_a_single_segment_is_doubled(batches_of):
    batches = batches_of(numbered_clips([24]), "training.batch_size=16", "training.held_out=0")  # 17 positions
    assert [len(segments) for segments, _, _ in batches.epoch(0)] == [16]
    assert batches.steps_per_epoch == 1
    left_out = {tuple(set(map(float, range(17))) - set(firsts(batches, epoch))) for epoch in range(10)}
    assert len(left_out) > 1
    assert firsts(batches_of(numbered_clips([8]), "training.held_out=0"), 0) == [0.0, 0.0]


def test_the_positions_of_a_recording_are_held_out_of_all_that_came_from_it(batches_of):
    clips = numbered_clips([37, 37, 37], recordings=[0, 1, 0])
    held_out = batches_of(clips, "training.held_out=0.2").held_out[0][:, 0, 0].numpy()
    frames = [set(held_out[held_out // 100 == clip] % 100) for clip in range(3)]
    assert len(frames[0]) == 6
    assert frames[0] == frames[2] != frames[1]


def test_some_positions_are_left_to_train_on_and_short_clips_are_repeated(batches_of):
    batches = batches_of(numbered_clips([3, 9]), "training.held_out=0.9")
    assert len(firsts(batches, 0)) == 2
    segments = torch.cat(
        [segments for segments, _, _ in batches_of(numbered_clips([3]), "training.held_out=0").epoch(0)]
    )
    assert segments[0, 0].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


@pytest.mark.parametrize("epochs", [True, False])
def test_batches_are_in_units_of_the_scale(small, epochs):
    clips = numbered_clips([30, 30, 30, 30, 30])
    references = [Spectrograms(clip.input, clip.input[::-1].copy() + 1) for clip in clips.spectrograms]
    clips = TrainingClips(references, clips.conditions, clips.groups, clips.recordings)
    rng = np.random.default_rng(0)
    scale = tuple(torch.from_numpy(rng.uniform(1, 2, (2, N_MELS)).astype(np.float32)) for _ in range(2))
    settings = small("baseline-mse" if epochs else "fully-connected", "autoencoder.segment_frames=8")
    plain, scaled = (training_batches(clips, settings, scale=value, seed=3) for value in (SCALE, scale))
    before = [next(plain.epoch(0)), plain.held_out]
    after = [next(scaled.epoch(0)), scaled.held_out]
    for one, other in zip(before, after, strict=True):
        assert len(one[0]) > 0
        for index in range(2):
            expected = (one[index] - scale[0][index, :, None]) / scale[1][index, :, None]
            torch.testing.assert_close(other[index], expected)
        assert torch.equal(one[2], other[2])


def test_what_the_clips_hold_is_not_changed(batches_of):
    clips = numbered_clips([20])
    before = clips.spectrograms[0].input.copy()
    list(batches_of(clips, scale=(SCALE[0] + 5, SCALE[1] * 3)).epoch(0))
    assert np.array_equal(clips.spectrograms[0].input, before)
