"""What the machines, their faults and their surroundings sound like: where physics says that energy lies."""

from dataclasses import replace

import numpy as np
import pytest

from soundness.aliases import Array
from soundness.synthetic import MACHINES, FactorySettings
from soundness.synthetic.cyclic import Slider, SliderSetting, Valve, ValveSetting
from soundness.synthetic.faults import FALL_DB, INNER_RACE, OUTER_RACE, RunningMachine
from soundness.synthetic.machines import fault_kinds
from soundness.synthetic.plan import ClipPlan, plan_machine
from soundness.synthetic.render import render
from soundness.synthetic.rotating import Bearing, BearingSetting, Fan, FanSetting, Gearbox, GearboxSetting
from soundness.synthetic.signals import (
    SAMPLE_RATE,
    Mode,
    band_noise,
    convolve,
    generator,
    ring_at,
    shaped_noise,
    tones,
    turning_times,
)
from soundness.synthetic.toys import ToyCar, ToyCarSetting, ToyTrain, ToyTrainSetting

N_SAMPLES = 10 * SAMPLE_RATE
ALL_FAULTS = [(machine, kind) for machine in MACHINES for kind in fault_kinds(machine)]
WIDE_BAND = {"overvoltage"}


def anomalous_plan(machine: str, kind: str, *, severity: float = 1.0) -> ClipPlan:
    index = fault_kinds(machine).index(kind)
    return ClipPlan(
        seed=0,
        machine=machine,
        split="test",
        domain="source",
        label="anomaly",
        index=index,
        n_samples=N_SAMPLES // 2,
        fault=kind,
        severity=severity,
    )


def spectrum(waveform: Array) -> tuple[Array, Array]:
    """Frequencies in Hz, and power."""
    power = np.abs(np.fft.rfft(waveform * np.hanning(waveform.size))) ** 2
    return np.fft.rfftfreq(waveform.size, 1.0 / SAMPLE_RATE), power


def share_between(waveform: Array, fmin: float, fmax: float) -> float:
    frequencies, power = spectrum(waveform)
    return float(power[(frequencies >= fmin) & (frequencies <= fmax)].sum() / power.sum())


def peak_hz(waveform: Array, fmin: float, fmax: float) -> float:
    frequencies, power = spectrum(waveform)
    inside = (frequencies >= fmin) & (frequencies <= fmax)
    return float(frequencies[inside][np.argmax(power[inside])])


def envelope(waveform: Array) -> Array:
    """Rectified waveform without its mean."""
    return np.abs(waveform) - np.mean(np.abs(waveform))


@pytest.mark.parametrize(("machine", "kind"), ALL_FAULTS)
def test_an_anomaly_adds_its_energy_in_its_stated_band_and_time_only(machine: str, kind: str) -> None:
    plan = anomalous_plan(machine, kind)
    anomalous, normal = render(plan), render(replace(plan, fault=None))
    difference = anomalous.machine - normal.machine
    anomaly = anomalous.anomaly
    assert anomaly is not None
    assert np.array_equal(anomalous.noise, normal.noise)
    if kind not in WIDE_BAND:
        assert share_between(difference, anomaly.fmin, anomaly.fmax) > 0.85
    tail_seconds = 0.1  # of the room
    times = np.arange(difference.size) / SAMPLE_RATE
    inside = (times >= anomaly.start) & (times <= anomaly.end + tail_seconds)
    assert np.sum(difference[inside] ** 2) > 0.98 * np.sum(difference**2)


@pytest.mark.parametrize(("machine", "kind"), ALL_FAULTS)
def test_a_fault_grows_with_its_severity(machine: str, kind: str) -> None:
    levels = []
    for severity in (0.0, 0.3, 0.6, 1.0):
        anomaly = render(anomalous_plan(machine, kind, severity=severity)).anomaly
        assert anomaly is not None
        levels.append(np.sqrt(np.mean(anomaly.waveform**2)))
    if kind in WIDE_BAND:  # another speed is another sound, however far off
        assert levels[0] < 0.1 < min(levels[1:])
    else:
        assert np.all(np.diff(levels) > 0.0)


def test_the_level_of_a_fault_falls_as_stated_from_severity_one_to_zero() -> None:
    loud, quiet = (render(anomalous_plan("fan", "whistle", severity=severity)).anomaly for severity in (1.0, 0.0))
    assert loud is not None
    assert quiet is not None
    assert 10.0 * np.log10(np.sum(loud.waveform**2) / np.sum(quiet.waveform**2)) == pytest.approx(FALL_DB)


@pytest.mark.parametrize("machine", MACHINES)
def test_severities_and_conditions_of_each_kind_are_spread(machine: str) -> None:
    plans = [plan for plan in plan_machine(machine, FactorySettings()) if plan.fault is not None]
    for kind in fault_kinds(machine):
        of_kind = [plan for plan in plans if plan.fault == kind]
        severities = sorted(plan.severity for plan in of_kind)
        assert len(of_kind) >= 8
        assert severities[0] < 0.25
        assert severities[-1] > 0.75
        for domain in ("source", "target"):
            conditions = {id(plan.condition) for plan in of_kind if plan.domain == domain}
            assert len(conditions) == min(len(MACHINES[machine].conditions[domain]), 4)


@pytest.mark.parametrize("machine", MACHINES)
def test_supplemental_clips_hold_machine_or_noise_alone(machine: str) -> None:
    settings = FactorySettings(machines=(machine,), n_supplemental=1, seconds=2.0)
    stems = render(next(plan for plan in plan_machine(machine, settings) if plan.split == "supplemental"))
    loud, quiet = stems.machine, stems.noise
    if MACHINES[machine].supplemental == "noise":
        loud, quiet = quiet, loud
    assert np.std(loud) > 0.005
    assert np.std(quiet) < 0.0002


def test_the_factory_supplies_clean_sound_for_some_machines_and_noise_for_others() -> None:
    kinds = [machine.supplemental for machine in MACHINES.values()]
    assert 3 <= kinds.count("machine") <= 4
    assert all(machine.supplemental in machine.supplemental_name for machine in MACHINES.values())


def test_a_fan_is_loudest_at_its_blade_pass_tone() -> None:
    fan = Fan(FanSetting(46.0, 5, -1.0), n_samples=N_SAMPLES, rng=generator(1))
    assert peak_hz(fan.normal, 20.0, 8000.0) == pytest.approx(46.0 * 5, rel=0.03)


def test_a_gear_mesh_has_sidebands_at_both_shafts_rates() -> None:
    gearbox = Gearbox(GearboxSetting(20.0, (23, 51), 0.5), n_samples=N_SAMPLES, rng=generator(1))
    mesh = peak_hz(gearbox.normal, 400.0, 520.0)
    assert mesh == pytest.approx(20.0 * 23, rel=0.03)
    frequencies, power = spectrum(gearbox.normal)
    for rate in (mesh / 23, mesh / 51):
        beside = power[np.abs(frequencies - mesh - rate) < 0.15 * rate].max()
        between = np.median(power[np.abs(frequencies - mesh - 1.5 * mesh / 23) < 4.0])
        assert beside > 20.0 * between


@pytest.mark.parametrize(("kind", "per_turn"), [("outer_race", 3.465), ("inner_race", 5.535)])
def test_a_bearing_fault_knocks_at_the_rate_of_its_race(kind: str, per_turn: float) -> None:
    # n/2 (1 -+ d/D) for 9 balls of 0.23 pitch diameters
    bearing = Bearing(BearingSetting(20.0, 0.7), n_samples=N_SAMPLES, rng=generator(1))
    anomaly = bearing.faults[kind](1.0, generator(2))
    expected = 20.0 * per_turn
    assert peak_hz(envelope(anomaly.waveform), 0.8 * expected, 1.2 * expected) == pytest.approx(expected, rel=0.03)
    assert {"outer_race": OUTER_RACE, "inner_race": INNER_RACE}[kind] == pytest.approx(per_turn)


def test_a_slider_repeats_itself_every_stroke() -> None:
    slider = Slider(SliderSetting(0.9, 1.0, 1.0), n_samples=N_SAMPLES, rng=generator(1))
    assert peak_hz(envelope(slider.normal), 0.5, 1.8) == pytest.approx(1.0 / 0.9, rel=0.1)


def test_a_valve_opens_as_often_as_its_pattern_says() -> None:
    valve = Valve(ValveSetting(("00", "05")), n_samples=N_SAMPLES, rng=generator(3))
    hiss = np.abs(valve.normal)
    blocks = hiss.reshape(-1, SAMPLE_RATE // 20).mean(axis=1)
    is_open = blocks > 2.0 * np.median(blocks)
    n_openings = int(np.sum(is_open[1:] & ~is_open[:-1]))
    assert 13 <= n_openings <= 31  # three openings and as many closings in each of five cycles


def test_a_toy_car_whines_at_its_gear_mesh() -> None:
    car = ToyCar(ToyCarSetting(34.0, 10, 1.0), n_samples=N_SAMPLES, rng=generator(1))
    assert peak_hz(car.normal, 700.0, 1600.0) == pytest.approx(3.2 * 34.0 * 10, rel=0.03)


def test_more_volts_turn_a_toy_car_faster() -> None:
    peaks = [
        peak_hz(ToyCar(ToyCarSetting(volts, 10, 1.0), n_samples=N_SAMPLES, rng=generator(1)).normal, 700.0, 1600.0)
        for volts in (28.0, 40.0)
    ]
    assert peaks[1] / peaks[0] == pytest.approx(40.0 / 28.0, rel=0.01)


def test_a_toy_train_whines_at_its_gear_mesh() -> None:
    train = ToyTrain(ToyTrainSetting(0.5, 8, 0.5), n_samples=N_SAMPLES, rng=generator(1))
    wheel_hz = 0.5 / 0.05
    assert peak_hz(train.normal, 350.0, 700.0) == pytest.approx(wheel_hz * 6 * 8, rel=0.04)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_healthy_machine_has_unit_rms_and_differs_from_clip_to_clip(machine: str) -> None:
    build = MACHINES[machine].conditions["source"][0].build
    first, second = (build(n_samples=N_SAMPLES, rng=generator(seed)) for seed in (1, 2))
    both: list[RunningMachine] = [first, second]
    assert [np.mean(one.normal**2) for one in both] == pytest.approx([1.0, 1.0])
    assert abs(np.corrcoef(first.normal, second.normal)[0, 1]) < 0.5


def test_generators_of_other_words_are_other_generators() -> None:
    first, same, other = (generator(3, word).random(4) for word in ("fan", "fan", "valve"))
    assert np.array_equal(first, same)
    assert not np.any(first == other)


def test_tones_are_the_sinusoids_of_their_orders() -> None:
    turns = np.arange(SAMPLE_RATE) / SAMPLE_RATE * 10.0
    waveform = tones(turns, {3: 2.0, 7: 1.0}, generator(0))
    amplitudes = np.abs(np.fft.rfft(waveform)) / (SAMPLE_RATE / 2)
    assert amplitudes[30] == pytest.approx(2.0, rel=1e-3)
    assert amplitudes[70] == pytest.approx(1.0, rel=1e-3)
    assert np.delete(amplitudes, [30, 70]).max() < 1e-3


def test_shaped_noise_follows_its_curve() -> None:
    noise = shaped_noise(N_SAMPLES, generator(0), curve={100.0: 0.0, 1000.0: -20.0, 8000.0: -20.0})
    frequencies, power = spectrum(noise)
    low = power[(frequencies > 90) & (frequencies < 110)].mean()
    high = power[(frequencies > 2000) & (frequencies < 6000)].mean()
    assert 10.0 * np.log10(low / high) == pytest.approx(20.0, abs=1.5)


def test_band_noise_stays_in_its_band() -> None:
    assert share_between(band_noise(N_SAMPLES, generator(0), fmin=2000.0, fmax=4000.0), 2000.0, 4000.0) > 0.97


def test_convolution_agrees_with_numpy() -> None:
    rng = generator(0)
    waveform, kernel = rng.standard_normal(1001), rng.standard_normal(37)
    assert np.allclose(convolve(waveform, kernel), np.convolve(waveform, kernel)[:1001])


def test_an_impact_rings_at_its_mode_and_dies_away() -> None:
    mode = Mode(1000.0, 0.01, 3.0)
    sound = ring_at(SAMPLE_RATE, np.array([0.5]), np.array([2.0]), (mode,))
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE - 0.5
    expected = np.where(times >= 0, 6.0 * np.exp(-times / 0.01) * np.sin(2.0 * np.pi * 1000.0 * times), 0.0)
    assert np.allclose(sound, expected, atol=0.01)


def test_events_come_at_their_rate() -> None:
    turns = np.arange(N_SAMPLES) / SAMPLE_RATE * 20.0 + 0.3
    times = turning_times(turns, per_turn=3.5, jitter=0.0, rng=generator(0))
    assert np.diff(times) == pytest.approx(1.0 / 70.0, rel=1e-6)
