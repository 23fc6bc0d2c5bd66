"""Render one clip: machine and fault through room and microphone, plus the hall's noise."""

from dataclasses import dataclass

import numpy as np

from soundness.aliases import Array
from soundness.synthetic.background import background, draw_hall
from soundness.synthetic.faults import Anomaly
from soundness.synthetic.machines import machine_type
from soundness.synthetic.plan import ClipPlan
from soundness.synthetic.room import Room, draw_room, impulse_response, record
from soundness.synthetic.signals import from_db, generator, rms

__all__ = ["Stems", "render"]

_NOISE_DB = -38.0
_LEVEL_SPREAD_DB = 1.0
_SNR_HALF_WIDTH_DB = 2.0
_SELF_NOISE_DB = -80.0
_PEAK = 0.9


@dataclass(frozen=True, slots=True)
class Stems:
    """Parts of a clip, the sum of ``machine`` and ``noise`` as recorded, shape ``(time,)``, within -0.9 and 0.9.

    ``anomaly`` is the anomaly before it is recorded; ``None`` in a normal clip.
    """

    machine: Array
    noise: Array
    anomaly: Anomaly | None


def render(plan: ClipPlan) -> Stems:
    """Make the sound of one clip; a supplemental clip has but one stem, plus the microphone's own noise."""
    room = draw_room(generator(plan.seed, plan.machine, plan.domain, "room"))
    levels = plan.rng("levels")
    noise_gain = from_db(_NOISE_DB + _LEVEL_SPREAD_DB * np.clip(levels.standard_normal(), -2.0, 2.0))
    snr_db = machine_type(plan.machine).snr_db + levels.uniform(-_SNR_HALF_WIDTH_DB, _SNR_HALF_WIDTH_DB)
    machine, anomaly = _machine(plan, room)
    noise = _noise(plan) * noise_gain
    machine = machine * (noise_gain * from_db(snr_db))
    if plan.split == "supplemental":
        keeps_machine = machine_type(plan.machine).supplemental == "machine"
        machine, noise = (machine, 0.0 * noise) if keeps_machine else (0.0 * machine, noise)
    noise = noise + from_db(_SELF_NOISE_DB) * plan.rng("self_noise").standard_normal(plan.n_samples)
    scale = min(1.0, _PEAK / float(np.max(np.abs(machine + noise))))
    return Stems(machine * scale, noise * scale, anomaly)


def _machine(plan: ClipPlan, room: Room) -> tuple[Array, Anomaly | None]:
    """The machine as recorded, of unit rms but for the anomaly, and the anomaly."""
    machine = plan.condition.build(n_samples=plan.n_samples, rng=plan.rng("machine"))
    response = impulse_response(room, plan.rng("room"))
    recorded = record(machine.normal, plan.domain, room=response)
    gain = 1.0 / rms(recorded)
    if plan.fault is None:
        return recorded * gain, None
    anomaly = machine.faults[plan.fault](plan.severity, plan.rng("fault"))
    return (recorded + record(anomaly.waveform, plan.domain, room=response)) * gain, anomaly


def _noise(plan: ClipPlan) -> Array:
    """The hall as recorded, of unit rms."""
    hall = draw_hall(plan.domain, generator(plan.seed, plan.machine, plan.domain, "hall"))
    recorded = record(background(hall, plan.n_samples, plan.rng("noise")), plan.domain, room=None)
    return recorded / rms(recorded)
