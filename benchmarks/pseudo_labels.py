"""Agreement of pseudo-labels with operating conditions that are hidden from them, on factory data.

    python benchmarks/pseudo_labels.py [--seeds 11,12,13] [--machines fan,...] [--json FILE]

The attributes of each machine are hidden in turn; the true conditions are known from how its sounds were made. The
figures are the adjusted Rand index (ARI) and the normalised mutual information (NMI) of labels and true conditions,
within each domain: 1 for the same partition; ARI is 0 for labels by chance, NMI is more.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

import soundness
from soundness.detectors.front_end import FrontEnd
from soundness.detectors.reader import RecordingReader
from soundness.synthetic import MACHINES
from soundness.synthetic.plan import plan_machine
from soundness.synthetic.settings import FactorySettings
from soundness.training.labelling import band_moments, spectral_shapes
from soundness.training.preparation.clips import read_machine
from soundness.training.pseudo_labels import by_classifier, by_clusters

SETTINGS = soundness.load_settings("conditional", overrides=["separation=off"])
FIGURES = ("ari", "nmi", "n_labels")


@dataclass(frozen=True)
class TrainingFeatures:
    """Features of the training clips of a machine, with their true conditions."""

    shapes: np.ndarray
    moments: np.ndarray
    domains: np.ndarray
    conditions: np.ndarray
    attributes: tuple[str, ...]


def read_machines(root: Path, settings: FactorySettings) -> dict[str, TrainingFeatures]:
    """The training clips of each machine, with their true conditions."""
    found, reader = {}, RecordingReader(FrontEnd(SETTINGS))
    for name, machine in soundness.open_dataset(root).machines.items():
        plans = {plan.path.name: plan for plan in plan_machine(name, settings)}
        conditions = [repr(plans[clip.path.name].condition) for clip in machine.train]
        clips_read = read_machine(machine, reader, advance=lambda: None)
        attributes = tuple(clip.attributes for clip in machine.train)
        domains = np.array([clip.domain for clip in machine.train])
        found[name] = TrainingFeatures(
            spectral_shapes(clips_read.spectrograms),
            band_moments(clips_read.spectrograms),
            domains,
            np.array(conditions),
            attributes,
        )
    return found


def labels_by_way(
    name: str, machines: dict[str, TrainingFeatures], *, seed: int
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Each way, which clips it labels, and their labels."""
    own = machines[name]
    everything = np.arange(len(own.domains))
    yield "clusters", everything, np.array(by_clusters(own.shapes, list(own.domains), seed=0).labels)
    anywhere = by_clusters(own.shapes, [""] * len(everything), seed=0)
    yield "clusters, over both domains", everything, np.array(anywhere.labels)
    others = {key: other for key, other in machines.items() if key != name and any(other.attributes)}
    known = np.concatenate([other.moments for other in others.values()])
    classes = [f"{key} {attributes}" for key, other in others.items() for attributes in other.attributes]
    found = by_classifier(own.moments, list(own.domains), known=known, classes=classes)
    yield "classifier, other machines", everything, np.array(found.labels)
    is_known = np.isin(everything, np.random.default_rng(seed).permutation(everything)[: len(everything) // 2])
    found = by_classifier(
        own.moments[~is_known],
        list(own.domains[~is_known]),
        known=own.moments[is_known],
        classes=list(own.conditions[is_known]),
    )
    yield "classifier, half of the machine's own", everything[~is_known], np.array(found.labels)


def measure(seed: int, machines: tuple[str, ...]) -> Iterator[dict[str, object]]:
    """A row for each machine, way and domain of one seed."""
    size = {"n_test_normal": 0, "n_test_anomaly": 0, "n_supplemental": 0}
    with tempfile.TemporaryDirectory() as folder:
        made = soundness.make_data(Path(folder) / "data", seed=seed, **size)
        clips_read = read_machines(made.root, FactorySettings(seed=seed, **size))
    for name in machines:
        for way, clips, labels in labels_by_way(name, clips_read, seed=seed):
            for domain in ("source", "target"):
                here = clips_read[name].domains[clips] == domain
                truth = clips_read[name].conditions[clips][here]
                yield {
                    "seed": seed,
                    "machine_type": name,
                    "way": way,
                    "domain": domain,
                    "ari": float(adjusted_rand_score(truth, labels[here])),
                    "nmi": float(normalized_mutual_info_score(truth, labels[here])),
                    "n_labels": len(set(labels[here])),
                    "n_conditions": len(set(truth)),
                }


def print_table(rows: list[dict[str, object]], keys: tuple[str, ...]) -> None:
    """Mean and standard deviation of the figures of the rows that agree in some keys, as a Markdown table."""
    print(f"\n| {' | '.join(keys)} | ARI | NMI | labels |\n|{'---|' * (len(keys) + 3)}")
    for group in dict.fromkeys(tuple(row[key] for key in keys) for row in rows):
        own = [row for row in rows if tuple(row[key] for key in keys) == group]
        values = {figure: np.array([row[figure] for row in own], dtype=float) for figure in FIGURES}
        cells = [f"{value.mean():.2f} ± {value.std(ddof=1):.2f}" for value in list(values.values())[:2]]
        print(f"| {' | '.join(map(str, group))} | {' | '.join(cells)} | {values['n_labels'].mean():.1f} |")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="11,12,13", help="with commas between; at least two")
    parser.add_argument("--machines", default=",".join(MACHINES), help="with commas between")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments = parser.parse_args()
    machines = tuple(arguments.machines.split(","))
    rows = [row for seed in arguments.seeds.split(",") for row in measure(int(seed), machines)]
    print_table(rows, ("way", "domain"))
    print_table(
        [row for row in rows if row["way"] in ("clusters", "classifier, other machines")],
        ("machine_type", "domain", "way"),
    )
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
