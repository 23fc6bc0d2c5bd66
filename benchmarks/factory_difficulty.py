"""How hard factory data are: AUC of two plain detectors for each machine, and by severity of anomalies.

Run ``python benchmarks/factory_difficulty.py --seeds 0,3,11``. The aim: on every machine both detectors lie between
60 and 90, the severest third of the anomalies is found and the mildest is not.
"""

import argparse
import csv
import itertools
import tempfile
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from torch import Tensor, nn

from soundness.clips import DOMAINS
from soundness.factory import MACHINES, FactorySettings, make_data

FloatArray = npt.NDArray[np.float64]

N_FFT, HOP, N_MELS, N_STACKED = 1024, 512, 128, 5
SHRINKAGE = 0.1


@dataclass(frozen=True)
class Recordings:
    """Log-mels (dB, ``(mel, frame)``) of one machine, and what is known of each clip."""

    names: list[str]
    log_mels: list[FloatArray]
    is_train: npt.NDArray[np.bool_]
    is_target: npt.NDArray[np.bool_]
    is_anomaly: npt.NDArray[np.bool_]


@cache
def mel_filters(sample_rate: int) -> FloatArray:
    """Slaney's triangular filters of unit area, shape ``(mel, bin)``, as librosa has them."""

    def to_mel(hz: FloatArray) -> FloatArray:
        above = 15.0 + 27.0 * np.log(np.maximum(hz, 1000.0) / 1000.0) / np.log(6.4)
        return np.where(hz < 1000.0, hz * 3.0 / 200.0, above)

    def to_hz(mel: FloatArray) -> FloatArray:
        return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * np.exp(np.log(6.4) * (mel - 15.0) / 27.0))

    edges = to_hz(np.linspace(0.0, to_mel(np.array([sample_rate / 2.0]))[0], N_MELS + 2))
    bins = np.fft.rfftfreq(N_FFT, 1.0 / sample_rate)[None, :]
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre))
    return np.maximum(triangles, 0.0) * (2.0 / (high - low))


def log_mel(path: Path) -> FloatArray:
    """Log-mel of a file in dB, shape ``(mel, frame)``, centred frames padded with zeros."""
    waveform, sample_rate = soundfile.read(path)
    padded = np.pad(waveform, N_FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(N_FFT + 1)[:-1], axis=1)) ** 2
    return 10.0 * np.log10(mel_filters(sample_rate) @ power.T + 1e-12)


def read_machine(folder: Path) -> Recordings:
    """Read the training and test clips of one machine."""
    paths = sorted((folder / "train").glob("*.wav")) + sorted((folder / "test").glob("*.wav"))
    names = [path.name for path in paths]
    return Recordings(
        names=names,
        log_mels=[log_mel(path) for path in paths],
        is_train=np.array(["_train_" in name for name in names]),
        is_target=np.array(["_target_" in name for name in names]),
        is_anomaly=np.array(["_anomaly_" in name for name in names]),
    )


def whitened_scores(data: Recordings) -> FloatArray:
    """Score all clips by their nearest whitened mean log-mel, z-normalised by domain; shape ``(clip,)``."""
    means = np.array([clip.mean(axis=1) for clip in data.log_mels])
    whitening = _whitening(means[data.is_train], data.is_target[data.is_train])
    vectors = means @ whitening
    scores = []
    for is_target in (False, True):
        bank = vectors[data.is_train & (data.is_target == is_target)]
        own = _distances(bank, bank)
        np.fill_diagonal(own, np.inf)
        left_out = own.min(axis=1)
        scores.append((_distances(vectors, bank).min(axis=1) - left_out.mean()) / left_out.std())
    return np.minimum(*scores)


def _whitening(vectors: FloatArray, groups: npt.NDArray[np.bool_]) -> FloatArray:
    """Inverse square root of the within-group covariance, shrunk towards its mean variance."""
    centred = vectors.copy()
    for group in (False, True):
        centred[groups == group] -= vectors[groups == group].mean(axis=0)
    covariance = centred.T @ centred / (len(vectors) - 2)
    mean_variance = np.trace(covariance) / len(covariance)
    shrunk = (1.0 - SHRINKAGE) * covariance + SHRINKAGE * mean_variance * np.eye(len(covariance))
    values, directions = np.linalg.eigh(shrunk)
    return directions / np.sqrt(values) @ directions.T


def _distances(left: FloatArray, right: FloatArray) -> FloatArray:
    return np.linalg.norm(left[:, None, :] - right[None, :, :], axis=2)


def autoencoder_scores(data: Recordings, *, n_epochs: int) -> FloatArray:
    """Mean squared error of every clip under the challenge's dense autoencoder; shape ``(clip,)``."""
    torch.manual_seed(0)
    stacked = [torch.from_numpy(_stack(clip)).float() for clip in data.log_mels]
    network = dense_autoencoder()
    _train(network, torch.cat([x for x, keep in zip(stacked, data.is_train, strict=True) if keep]), n_epochs)
    network.eval()
    with torch.no_grad():
        return np.array([float(nn.functional.mse_loss(network(x), x)) for x in stacked])


def _stack(clip: FloatArray) -> FloatArray:
    """Five neighbouring frames side by side, shape ``(frame, 640)``."""
    windows = np.lib.stride_tricks.sliding_window_view(clip.T, N_STACKED, axis=0)
    return np.ascontiguousarray(windows.transpose(0, 2, 1).reshape(len(windows), -1))


def dense_autoencoder() -> nn.Sequential:
    """Build the official baseline's network: 267,928 parameters."""
    widths = [N_MELS * N_STACKED, 128, 128, 128, 128, 8, 128, 128, 128, 128]
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out, momentum=0.01, eps=1e-3), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], widths[0]))


def _train(network: nn.Sequential, vectors: Tensor, n_epochs: int) -> None:
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    for _ in range(n_epochs):
        for batch in torch.randperm(len(vectors)).split(256):
            loss = nn.functional.mse_loss(network(vectors[batch]), vectors[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def auc(normal: FloatArray, anomalous: FloatArray) -> float:
    """Share of pairs, in percent, in which the anomaly scores higher; ties count half."""
    above = (anomalous[:, None] > normal[None, :]).mean() + 0.5 * (anomalous[:, None] == normal[None, :]).mean()
    return 100.0 * float(above)


def report(data: Recordings, scores: FloatArray, truth: dict[str, tuple[str, float]]) -> dict[str, float]:
    """AUC over all test clips, by domain of the normal clips, by third of severity and by kind of anomaly."""
    normal = ~data.is_train & ~data.is_anomaly
    kinds = np.array([truth[name][0] if name in truth else "" for name in data.names])
    severity = np.array([truth[name][1] if name in truth else -1.0 for name in data.names])
    figures = {"all": auc(scores[normal], scores[data.is_anomaly])}
    for domain, is_target in zip(DOMAINS, (False, True), strict=True):
        figures[domain] = auc(scores[normal & (data.is_target == is_target)], scores[data.is_anomaly])
    for name, low, high in (("mild", 0.0, 1 / 3), ("middle", 1 / 3, 2 / 3), ("severe", 2 / 3, 1.01)):
        figures[name] = auc(scores[normal], scores[data.is_anomaly & (severity >= low) & (severity < high)])
    for kind in sorted(set(kinds) - {""}):
        figures[kind] = auc(scores[normal], scores[kinds == kind])
    return figures


def read_truth(path: Path) -> dict[str, tuple[str, float]]:
    """Kind and severity of each anomalous clip."""
    with path.open(newline="") as file:
        return {row["file_name"]: (row["kind"], float(row["severity"])) for row in csv.DictReader(file)}


def measure(settings: FactorySettings, *, n_epochs: int) -> None:
    """Make the data of one seed in a temporary folder and print both detectors' figures."""
    detectors = {"whitened": whitened_scores}
    if n_epochs > 0:
        detectors["autoencoder"] = partial(autoencoder_scores, n_epochs=n_epochs)
    with tempfile.TemporaryDirectory() as folder:
        made = make_data(Path(folder) / "data", settings=settings)
        for machine in settings.machines:
            data = read_machine(made.root / machine)
            truth = read_truth(made.truth / machine / "anomalies.csv")
            for name, detector in detectors.items():
                figures = report(data, detector(data), truth)
                shown = "  ".join(f"{key} {value:.0f}" for key, value in figures.items())
                print(f"seed {settings.seed:<3} {machine:9} {name:12} {shown}", flush=True)


def main() -> None:
    """Read the command line and measure each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0", help="comma-separated")
    parser.add_argument("--machines", default=",".join(MACHINES), help="comma-separated")
    parser.add_argument("--epochs", type=int, default=25, help="of the autoencoder; 0 leaves it out")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # small layers: more threads only wait for each other
    for seed in arguments.seeds.split(","):
        settings = FactorySettings(machines=tuple(arguments.machines.split(",")), seed=int(seed), n_supplemental=0)
        measure(settings, n_epochs=arguments.epochs)


if __name__ == "__main__":
    main()
