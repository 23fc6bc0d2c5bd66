"""The time a training takes is said before it begins."""

import re

from soundness.data.datasets import open_dataset
from soundness.representations.protocol import network_plan
from soundness.training.duration import forecast, seconds_of


def minutes_in(text):
    return [int(number) for number in re.findall(r"(\d+) min", text)]


def test_more_steps_and_more_machines_take_longer(small, fan):
    machines = list(open_dataset(fan).machines.values())
    settings = small("conditional", "training.max_steps=2000000")
    once = minutes_in(forecast(settings, [machines], trains_separator=False))[0]
    assert once > 0
    assert minutes_in(forecast(settings, [machines] * 20, trains_separator=False))[0] > 3 * once


def test_the_steps_of_a_training_by_epochs_follow_from_the_clips_lengths(small, fan, write_machine, tmp_path):
    twice = write_machine(tmp_path, n_source=8, n_target=4, seconds=0.8)
    settings = small("baseline-mse", "training.n_epochs=100000")
    machines = [list(open_dataset(folder).machines.values()) for folder in (fan, twice)]
    once, longer = (network_plan(settings).n_steps(seconds_of(group, settings.audio)) for group in machines)
    assert 1.2 * once < longer < 3.5 * once
    assert "training the network" in forecast(settings, [machines[1]], trains_separator=False)


def test_the_separator_is_named_with_its_time(small, fan):
    machines = list(open_dataset(fan).machines.values())
    settings = small("log-mel-whitened", "separation=denoise", "separator.minutes=33")
    assert "training the separator 33 min" in forecast(settings, [machines], trains_separator=True)
    assert "separator" not in forecast(settings, [machines], trains_separator=False)


def test_a_system_without_a_network_has_no_steps(small):
    assert network_plan(small("conditional")).seconds_per_step() > 0.0
    assert network_plan(small("discriminative")).seconds_per_step() > 0.0
    assert network_plan(small("log-mel-knn")) is None
