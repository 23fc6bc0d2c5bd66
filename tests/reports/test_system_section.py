"""The section of a system shows its training, losses and settings."""

import pytest

from soundness.detectors.saving import load
from soundness.reports.system_section import NOTHING_SCORED, Trained, system_part


@pytest.mark.parametrize("system", ["log-mel-knn", "conditional"])
def test_a_system_is_shown_with_training_and_settings(runs, system):
    trained = Trained(runs[system], load(runs[system]))
    part, problems = system_part(trained, NOTHING_SCORED, {}, has_players=True)
    assert problems == []
    assert (part.name, part.seed, part.anchor) == (system, 0, f"system-{system}")
    heading, row = part.training
    cells = dict(zip(heading, row, strict=True))
    assert cells["machine"] == "fan"
    assert bool(cells.get("parameters")) == (system == "conditional")
    assert len(part.losses) == (1 if system == "conditional" else 0)
    settings = dict(part.settings)
    assert settings["log_mel.n_mels"] == "16"
    assert settings["scorer.name"].startswith('"')
    assert not part.has_sounds
