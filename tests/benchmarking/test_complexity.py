"""Parameters and multiply-accumulates, against counts by hand."""

import math

import pytest
import torch
from torch import nn

from soundness.benchmarking.complexity import count_complexity, count_macs, largest_complexity
from soundness.errors import SettingsError

N_MELS, N_SEGMENT, HOP, RATE = 16, 8, 256, 16_000  # as in SMALL_EARS and SMALL_NETWORK


@pytest.mark.parametrize(
    ("network", "shape", "expected"),
    [
        (nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)), (7, 3), 7 * (3 * 5 + 5 * 2)),
        (nn.Linear(3, 5, bias=False), (2, 4, 3), 2 * 4 * 3 * 5),
        (nn.Conv1d(4, 6, 3), (1, 4, 10), 8 * 6 * 4 * 3),
        (nn.Conv1d(4, 4, 3, groups=4), (1, 4, 10), 8 * 4 * 3),
        (nn.Conv2d(1, 2, 5, stride=2, padding=2), (3, 1, 8, 8), 3 * 16 * 2 * 25),
        (nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1), (1, 4, 3, 3), 9 * 4 * 2 * 16),
    ],
)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_each_kind_of_layer_is_counted_as_by_hand(network, shape, expected, mode):
    def compute():
        with mode():
            return network(torch.zeros(shape))

    assert count_macs(compute) == expected


def n_segments(seconds):
    n_frames = 1 + int(seconds * RATE) // HOP
    return -(-n_frames // N_SEGMENT)


@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_a_convolutional_detector_is_counted_as_by_hand(detectors, seconds):
    detector = detectors["conditional"]
    n_conditions, n_features = detector.representation.conditions.shape
    assert n_conditions > 1
    n_cells = (N_MELS // 4) * (N_SEGMENT // 4)  # of the feature maps of the one layer, four channels each
    macs = [
        64 * (1 + n_features) * 4 * n_cells,  # convolution, 8 x 8
        4 * n_cells * 4,  # to the latent
        4 * 4 * n_cells,  # from it
        9 * 4 * 16 * n_cells,  # last convolution, 3 x 3, to 16 maps that are shuffled into one
    ]
    parameters = [
        64 * (1 + n_features) * 4,
        2 * 4,  # batch normalisation
        4 * n_cells * 4 + 4,
        4 * 4 * n_cells + 4 * n_cells,
        9 * 4 * 16 + 16,
    ]
    found = count_complexity(detector, seconds=seconds)
    assert found.n_macs == n_conditions * n_segments(seconds) * sum(macs)
    assert found.n_parameters == sum(parameters) == detector.summary.n_parameters


def test_a_detector_without_a_network_has_nothing_to_count(detectors):
    found = count_complexity(detectors["log-mel-knn"], seconds=1.0)
    assert (found.n_parameters, found.n_macs) == (0, 0)


def test_the_separator_is_counted_too(separating_detector):
    found = count_complexity(separating_detector, seconds=0.5)
    network = separating_detector.separator.network
    assert found.n_parameters == sum(parameter.numel() for parameter in network.parameters())
    waveform = torch.zeros(1, 1, RATE // 2)
    macs = []

    def count(layer, inputs, output):
        macs.append(output[0].numel() * inputs[0].shape[1] // layer.groups * math.prod(layer.kernel_size))

    layers = [module for module in network.modules() if isinstance(module, nn.Conv1d | nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        network(waveform)
    for hook in hooks:
        hook.remove()
    assert found.n_macs == sum(macs) > 0


def test_of_several_detectors_the_largest_counts(detectors):
    large, small = detectors["conditional"], detectors["log-mel-knn"]
    assert largest_complexity({"a": small, "b": large}, seconds=1.0) == count_complexity(large, seconds=1.0)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_a_clip_has_a_length(detectors, seconds):
    with pytest.raises(SettingsError, match="more than 0 s is needed"):
        count_complexity(detectors["log-mel-knn"], seconds=seconds)
