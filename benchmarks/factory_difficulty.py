"""Difficulty of synthetic data: AUC of two plain detectors for each machine, and by severity of the anomalies.

    python benchmarks/factory_difficulty.py [--seeds 0,3,11] [--machines fan,...] [--json FILE]

The detectors: the system `log-mel-whitened`, and the dense autoencoder of the official baseline with its mean squared
error. The promise: on every machine both lie between 60 and 90 per cent. Exit status 1 if it is not kept.
"""

import argparse
import csv
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import soundness
from soundness.audio.log_mel import LogMel
from soundness.audio.reading import pick_channel
from soundness.data.clips import Clip
from soundness.detectors.reader import read_recording
from soundness.evaluation.metrics import roc_auc
from soundness.evaluation.score_files import read_scores
from soundness.synthetic import MACHINES

Figures = dict[str, float]
SETTINGS = soundness.load_settings("log-mel-whitened")
THIRDS = {"mild": (0.0, 1 / 3), "middle": (1 / 3, 2 / 3), "severe": (2 / 3, 1.01)}
N_STACKED = 5


def whitened_scores(root: Path, work: Path) -> dict[str, float]:
    """Score of each test clip of one machine, by file name."""
    soundness.train(root, work / "run", system="log-mel-whitened")
    soundness.score(work / "run", [root], work / "scores")
    (scores,) = read_scores(work / "scores")
    return dict(zip(scores.file_names, scores.anomaly_scores, strict=True))


def autoencoder_scores(root: Path, *, n_epochs: int) -> dict[str, float]:
    """Mean squared error of each test clip of one machine under the official baseline's network, by file name."""
    machine = next(iter(soundness.open_dataset(root).machines.values()))
    torch.manual_seed(0)
    network = train_dense(torch.cat([stacked_frames(clip) for clip in machine.train]), n_epochs=n_epochs)
    with torch.no_grad():
        frames = {clip.path.name: stacked_frames(clip) for clip in machine.test}
        return {name: float(nn.functional.mse_loss(network(x), x)) for name, x in frames.items()}


def stacked_frames(clip: Clip) -> Tensor:
    """Log-mel of a clip with five neighbouring frames side by side, shape ``(frame, 640)``."""
    log_mel = LogMel(SETTINGS.log_mel, sample_rate=SETTINGS.audio.sample_rate)
    heard = torch.from_numpy(log_mel(pick_channel(read_recording(clip.path, SETTINGS), channel=0)[0]))
    return heard.T.unfold(0, N_STACKED, 1).transpose(1, 2).flatten(1).clone()


def train_dense(vectors: Tensor, *, n_epochs: int) -> nn.Sequential:
    """Train the network of 267,928 parameters, as the official baseline does."""
    widths = [vectors.shape[1], 128, 128, 128, 128, 8, 128, 128, 128, 128]
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out, momentum=0.01, eps=1e-3), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Linear(widths[-1], widths[0]))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    for _ in range(n_epochs):
        for batch in torch.randperm(len(vectors)).split(256):
            optimiser.zero_grad()
            nn.functional.mse_loss(network(vectors[batch]), vectors[batch]).backward()
            optimiser.step()
    return network.eval()


def report(scores: dict[str, float], severities: dict[str, float]) -> Figures:
    """AUC over all test clips, by domain of the normal ones, and by third of severity."""
    values = np.array(list(scores.values()))
    severity = np.array([severities.get(name, -1.0) for name in scores])
    is_target = np.array(["_target_" in name for name in scores])
    is_anomaly = severity >= 0.0

    def auc(kept: np.ndarray) -> float:
        return roc_auc(is_anomaly[kept], values[kept])

    figures = {"auc": auc(np.ones(len(values), dtype=bool))}
    figures |= {"source": auc(is_anomaly | ~is_target), "target": auc(is_anomaly | is_target)}
    bounds = THIRDS.items()
    return figures | {name: auc(~is_anomaly | ((severity >= low) & (severity < high))) for name, (low, high) in bounds}


def measure(machine_type: str, *, seed: int, n_epochs: int) -> Iterator[dict[str, object]]:
    """Both detectors on one machine of one seed."""
    with tempfile.TemporaryDirectory() as folder:
        made = soundness.make_data(Path(folder) / "data", machines=(machine_type,), seed=seed, n_supplemental=0)
        with (made.truth / machine_type / "anomalies.csv").open(newline="") as file:
            severities = {row["file_name"]: float(row["severity"]) for row in csv.DictReader(file)}
        root = made.root / machine_type
        found = {
            "log-mel-whitened": whitened_scores(root, Path(folder)),
            "dense autoencoder": autoencoder_scores(root, n_epochs=n_epochs),
        }
    for detector, scores in found.items():
        yield {"seed": seed, "machine_type": machine_type, "detector": detector, **report(scores, severities)}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="0", help="with commas between")
    parser.add_argument("--machines", default=",".join(MACHINES), help="with commas between")
    parser.add_argument("--epochs", type=int, default=25, help="of the dense autoencoder")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # small layers: more threads only wait for each other
    rows = []
    for seed, machine_type in itertools.product(arguments.seeds.split(","), arguments.machines.split(",")):
        for row in measure(machine_type, seed=int(seed), n_epochs=arguments.epochs):
            rows.append(row)
            figures = "  ".join(f"{key} {100 * row[key]:.0f}" for key in ("auc", "source", "target", *THIRDS))
            print(f"seed {seed:3} {machine_type:9} {row['detector']:18} {figures}", flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=2))
    return 0 if all(0.6 <= row["auc"] <= 0.9 for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
