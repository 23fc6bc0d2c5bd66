"""Published figures are those of the literature, and stand beside the same machines alone."""

import pytest

from soundness.benchmarking.published_figures import published_systems

DEV_2025 = ["ToyCar", "ToyTrain", "bearing", "fan", "gearbox", "slider", "valve"]


def test_official_scores_are_the_published_ones():
    scores = {system.name: round(100 * system.official_score, 2) for system in published_systems(DEV_2025)}
    assert scores == {"baseline-mahalanobis": 55.34, "baseline-mse": 56.26, "report-system": 61.87}


def test_figures_stand_beside_the_same_machines_alone():
    assert published_systems(DEV_2025[:6]) == []
    assert published_systems([*DEV_2025, "pump"]) == []
    assert {system.data_set for system in published_systems(DEV_2025[::-1])} == {"dcase2025_dev"}


def test_the_packages_figures_are_those_of_the_shared_tables(published):
    for name in ("dcase2025_dev", "dcase2025_eval"):
        rows = [line.split(",") for line in (published / f"{name}.csv").read_text().splitlines()[1:]]
        machines = {row[1] for row in rows}
        found = {
            (system.name, machine.machine_type): (machine.auc_source, machine.auc_target, machine.pauc)
            for system in published_systems(machines)
            for machine in system.machines
        }
        assert len(found) == len(rows)
        for system, machine, *figures in rows:
            assert found[system, machine] == pytest.approx([float(figure) / 100 for figure in figures])
