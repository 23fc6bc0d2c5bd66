"""Settings of a separator: ranges, sizes and overrides."""

import pytest

from setting_values import leaves
from soundness.errors import SettingsError
from soundness.settings.loading import (
    load_separator_settings,
    load_settings,
    validated,
)
from soundness.settings.separation import SEPARATOR_SIZES, ConvTasNetSize, SeparatorSettings


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("cpu", (256, 64, 64, 128, 6, 2)),
        ("cpu-quality", (256, 64, 128, 256, 8, 3)),
        ("gpu", (512, 32, 128, 512, 8, 3)),
        ("paper", (512, 16, 128, 512, 8, 3)),
    ],
)
def test_the_sizes_of_a_separator_are_those_of_the_table(name, sizes):
    size = SeparatorSettings(size=name).network
    assert size == SEPARATOR_SIZES[name]
    found = (size.n_filters, size.kernel_size, size.bottleneck_channels, size.hidden_channels)
    assert (*found, size.n_blocks, size.n_repeats) == sizes  # N L B H X R
    assert size.skip_channels == size.bottleneck_channels
    assert size.block_kernel_size == 3


def test_the_sizes_are_those_that_may_be_named():
    assert set(SEPARATOR_SIZES) == {"cpu", "cpu-quality", "gpu", "paper"}
    for size in SEPARATOR_SIZES:
        assert load_separator_settings(overrides=[f"size={size}"]).size == size


@pytest.mark.parametrize("change", [{"kernel_size": 15}, {"kernel_size": 0}, {"n_filters": 0}, {"skip_channels": 1.5}])
def test_a_size_that_no_network_can_have_is_refused_by_name(change):
    values = SEPARATOR_SIZES["cpu"].model_dump()
    assert ConvTasNetSize(**values) == SEPARATOR_SIZES["cpu"]
    with pytest.raises(SettingsError, match=next(iter(change))):
        validated(ConvTasNetSize, values | change)


def test_the_default_separator_is_the_small_one_that_reads_16_khz():
    settings = load_separator_settings()
    assert settings == SeparatorSettings() == load_settings().separator
    assert (settings.size, settings.basis, settings.causal) == ("cpu", "stft", False)
    assert (settings.sample_rate, settings.n_fft) == (16_000, 2048)
    assert settings.max_steps == 4000


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("size=cpu-quality", "size", "cpu-quality"),
        (" minutes = 5 ", "minutes", 5.0),
        ("max_steps=30", "max_steps", 30),
        ("refresh_steps=[]", "refresh_steps", ()),
        ("basis=learned", "basis", "learned"),
        ("causal=true", "causal", True),
        ("crop_seconds=[1, 1.5]", "crop_seconds", (1.0, 1.5)),
        ("crop_seconds=[2, 2]", "crop_seconds", (2.0, 2.0)),
        ("snr_db=[-10, 0]", "snr_db", (-10.0, 0.0)),
        ("gain_db=[0, 0]", "gain_db", (0.0, 0.0)),
    ],
)
def test_an_override_of_a_separator_changes_its_setting_and_no_other(override, key, value):
    before, after = dict(leaves(SeparatorSettings())), dict(leaves(load_separator_settings(overrides=[override])))
    assert {name: after[name] for name in after if name != key} == {n: before[n] for n in before if n != key}
    assert after[key] == value
    assert type(after[key]) is type(value)
    assert (
        dict(leaves(load_settings("conditional", overrides=[f"separator.{override.strip()}"])))[f"separator.{key}"]
        == value
    )


def test_overrides_of_a_separator_may_come_from_a_generator_and_the_last_counts():
    assert load_separator_settings(overrides=(f"size={size}" for size in ("paper", "gpu"))).size == "gpu"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("crop_seconds=[4, 2]", r"crop_seconds is \[4, 2\]; the smaller comes first"),
        ("snr_db=[5, -5]", r"snr_db is \[5, -5\]; the smaller comes first"),
        ("gain_db=[0.5, 0]", r"gain_db is \[0\.5, 0\]; the smaller comes first"),
        ("crop_seconds=[0, 2]", r"crop_seconds begins at 0 s; more than 0 is needed"),
        ("crop_seconds=[-1, 2]", r"crop_seconds begins at -1 s"),
        ("crop_seconds=[1]", r"crop_seconds\.1: .*required"),
        ("crop_seconds=[1, 2, 3]", r"crop_seconds: .*at most 2"),
        ("crop_seconds=3", r"crop_seconds: .*; 3 came"),
        ("crop_seconds=['1', 2]", r"crop_seconds\.0: .*; '1' came"),
        ("snr_db=[nan, 1]", r"snr_db\.0: .*finite number"),
        ("size=huge", r"size: .*'cpu', 'cpu-quality', 'gpu' or 'paper'; 'huge' came"),
        ("basis=wavelet", r"basis: .*'learned' or 'stft'; 'wavelet' came"),
        ("n_fft=510", r"n_fft: .*multiple of 4; 510 came"),
        ("n_fft=16", r"n_fft: .*32"),
        ("sample_rate=999", r"sample_rate: .*1000"),
        ("channel=-1", r"channel: "),
        ("batch_size=0", r"batch_size: "),
        ("learning_rate=0", r"learning_rate: .*greater than 0"),
        ("gradient_norm=0", r"gradient_norm: .*greater than 0"),
        ("minutes=0", r"minutes: .*greater than 0"),
        ("minutes=inf", r"minutes: .*finite number"),
        ("max_steps=0", r"max_steps: "),
        ("refresh_steps=[0]", r"refresh_steps\.0: "),
        ("refresh_steps=[30, 20]", r"refresh_steps is \[30, 20\]; each is larger"),
        ("refresh_steps=[30, 30]", r"refresh_steps is \[30, 30\]; each is larger"),
        ("held_out=0", r"held_out: .*greater than 0"),
        ("held_out=1", r"held_out: .*less than 1"),
        ("most_training_clips=0", r"most_training_clips: "),
        ("causal=1", r"causal: .*boolean; 1 came"),
        ("minutes=true", r"minutes: .*; True came"),
        ("accelerator=3", r"accelerator: .*string; 3 came"),
    ],
)
def test_a_setting_of_a_separator_that_does_not_fit_is_refused_by_name_alone_and_in_a_system(override, message):
    for load, given_as in ((load_separator_settings, override), (load_settings, f"separator.{override}")):
        with pytest.raises(SettingsError, match=message) as caught:
            load(overrides=[given_as])
        assert "\n" not in str(caught.value)
        assert f"--set {given_as}" in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("minute=5", r"--set minute=5: unknown setting 'minute' \(did you mean 'minutes'\?\)"),
        ("separator.minutes=5", r"unknown setting 'separator\.minutes'"),
        ("size.n_filters=5", r"unknown setting 'size\.n_filters'"),
        ("xyzzy=1", r"unknown setting 'xyzzy'"),
        ("minutes", r"--set minutes: expected key=value"),
        ("=5", r"expected key=value"),
    ],
)
def test_an_unknown_setting_of_a_separator_is_refused_by_name(override, message):
    with pytest.raises(SettingsError, match=message):
        load_separator_settings(overrides=[override])
