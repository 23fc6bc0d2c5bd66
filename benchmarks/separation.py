"""Separation: promised and measured, side by side; writes the tables of docs/separation.md.

SOUNDNESS_DATA=... python benchmarks/separation.py [--only factory,noisy,...] [--work DIR]

Needs the environment variable SOUNDNESS_DATA, with `make_noisy.py` in that folder, and one to three hours on an idle
machine of two cores. What is finished is kept in the work folder and not measured again; remove its folder `detection`
to measure that anew. Exit status 1 if a promise is not kept.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import numpy as np
import soundfile
import torch

from promises import Row, measure
from soundness.separation.losses import si_snr
from soundness.separation.saving import load_separator
from soundness.separation.separator import Separator
from soundness.settings.separation import SEPARATOR_SIZES, SeparatorSettings

COMMAND = str(Path(sys.executable).with_name("soundness"))
DOCS = Path(__file__).parents[1] / "docs" / "separation.md"
GIB = 2**30
RATE = 16_000
SEEDS = {"noisy": "0,1,2", "factory": "0"}  # three hours are enough
WITH_CLEAN_CLIPS = ("bearing", "gearbox", "slider", "valve")
DETECTION_MACHINES = ("fan", "gearbox", "valve")
NETWORKS = ("conditional", "fully-connected")
WITHOUT_NETWORK = ("log-mel-whitened", "log-mel-quantile", "soundness")
MODES = ("off", "augment", "denoise", "target=separated")


def soundness(*arguments: str, n_threads: int | None = None) -> None:
    """Run a command; `n_threads` leaves the other cores to others."""
    environment = os.environ if n_threads is None else {**os.environ, "OMP_NUM_THREADS": str(n_threads)}
    done = subprocess.run([COMMAND, *arguments, "-q"], capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"soundness {' '.join(arguments)}: exit status {done.returncode}\n{done.stderr}")


def make_factory(work: Path) -> Path:
    """The factory's recordings, with the true stems beside them."""
    if not (work / "factory").exists():
        soundness("make-data", str(work / "factory"), "--seed", "3")
    return work / "factory"


def make_noisy(work: Path) -> Path:
    """Real machines in real noise; the stems, which no training reads, in `stems`."""
    if not (work / "noisy").exists():
        script = Path(os.environ["SOUNDNESS_DATA"]) / "make_noisy.py"
        subprocess.run([sys.executable, script, work / "noisy", "--references", work / "stems"], check=True)
    return work / "noisy"


def trained(data: Path, name: str, *options: str, n_threads: int | None = None) -> Separator:
    """A separator of a data set, trained unless it is there."""
    path = data.with_name(f"{name}.soundness")
    if not path.exists():
        soundness("train-separator", str(data), "--out", str(path), "--resume", *options, n_threads=n_threads)
    return load_separator(path)


def read(path: Path) -> np.ndarray:
    """Samples of a mono recording."""
    return soundfile.read(path, dtype="float32")[0]


def improvements(separator: Separator, stems: Path, *, snr_db: float | None = None, most: int = 60) -> list[float]:
    """SI-SNR improvement of the machine, against true stems: as they are, or mixed at a level."""
    paths = sorted(stems.glob("*_machine.wav"))
    chosen = [paths[index] for index in np.linspace(0, len(paths) - 1, min(most, len(paths))).round().astype(int)]
    found = []
    for path in chosen:
        machine, noise = read(path), read(path.with_name(path.name.replace("_machine.wav", "_noise.wav")))
        if snr_db is not None:
            noise = noise * np.sqrt(np.mean(machine**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
        mixture = machine + noise
        estimate = separator.separate(mixture[None].astype(np.float32))[0, 0]
        before, after = (
            float(si_snr(torch.from_numpy(sound), torch.from_numpy(machine))) for sound in (mixture, estimate)
        )
        found.append(after - before)
    return found


def factory(work: Path) -> Iterator[Row]:
    """Twenty minutes on the factory, against the true stems of the test clips at 0 dB."""
    separator = trained(make_factory(work), "factory")
    means = {}
    for stems in sorted((work / "factory_truth").iterdir()):
        by_domain = {
            domain: improvements(separator, folder, snr_db=0.0, most=50)
            for domain, folder in _domains(stems / "test", work / "domains" / stems.name).items()
        }
        means[stems.name] = statistics.mean(value for values in by_domain.values() for value in values)
        detail = ", ".join(f"{domain} {statistics.mean(values):.1f}" for domain, values in by_domain.items())
        measured = f"{means[stems.name]:.1f} dB ({detail})"
        if stems.name in WITH_CLEAN_CLIPS:
            yield Row(f"factory, {stems.name}", "", measured, True)
        else:
            yield Row(f"factory, {stems.name}, noise-only", "> 0 dB", measured, means[stems.name] > 0)
    mean = statistics.mean(means[name] for name in WITH_CLEAN_CLIPS)
    yield Row("factory, mean of machines with clean clips", ">= 5 dB", f"{mean:.1f} dB", mean >= 5)


def _domains(stems: Path, links: Path) -> dict[str, Path]:
    """The stems of each domain in a folder of their own."""
    for domain in ("source", "target"):
        (links / domain).mkdir(parents=True, exist_ok=True)
        for path in stems.glob(f"section_00_{domain}_*.wav"):
            if not (links / domain / path.name).exists():
                os.link(path, links / domain / path.name)
    return {domain: links / domain for domain in ("source", "target")}


def noisy(work: Path) -> Iterator[Row]:
    """Twenty minutes on real machines in real noise, against the true stems of the test clips, mixed as they are."""
    separator = trained(make_noisy(work), "noisy")
    for machine, promised in (("ToyCar", 6.0), ("slider", 5.0)):
        found = improvements(separator, work / "stems" / machine / "test", most=200)
        mean = statistics.mean(found)
        measured = f"{mean:.1f} dB ({len(found)} test clips)"
        yield Row(f"noisy {machine}", f">= {promised:g} dB", measured, mean >= promised)
        if machine == "slider":
            gains = improvements(separator, work / "stems" / machine / "train", most=75)
            yield Row("noisy slider, training clips", "", f"{statistics.mean(gains):.1f} dB ({len(gains)} clips)", True)


def sizes(work: Path) -> Iterator[Row]:
    """Ten minutes of training on one core for each size and basis, two at a time."""
    data = make_noisy(work)
    kinds = [(size, basis) for basis in ("learned", "stft") for size in ("cpu", "cpu-quality")]
    with ThreadPoolExecutor(2) as pool:
        options = [
            ("--size", size, "--basis", basis, "--minutes", "10", "--set", "max_steps=1000000") for size, basis in kinds
        ]
        names = [f"noisy_{size}_{basis}" for size, basis in kinds]
        separators = list(pool.map(lambda name, given: trained(data, name, *given, n_threads=1), names, options))
    for (size, basis), separator in zip(kinds, separators, strict=True):
        means = {
            machine: statistics.mean(improvements(separator, work / "stems" / machine / "test"))
            for machine in ("ToyCar", "slider")
        }
        figures = ", ".join(f"{machine} {mean:.1f} dB" for machine, mean in means.items())
        measured = f"{figures}; {separator.summary.n_steps:,} steps"
        yield Row(f"10 minutes on one core, {size}, {basis} basis", "", measured, True)


COST = """
import json, resource, sys, time
import torch
from soundness.separation.conv_tasnet import ConvTasNet
from soundness.separation.losses import separation_loss
from soundness.settings.separation import SeparatorSettings
network = ConvTasNet(SeparatorSettings(size=sys.argv[1], basis=sys.argv[2]))
clip = torch.randn(1, 1, 160_000)
with torch.inference_mode():
    seconds = []
    for _ in range(int(sys.argv[3])):
        started = time.perf_counter()
        network(clip)
        seconds.append(time.perf_counter() - started)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
references = torch.randn(4, 2, 32_000)
optimizer = torch.optim.Adam(network.parameters(), fused=True)
steps = []
for _ in range(3):
    started = time.perf_counter()
    optimizer.zero_grad()
    separation_loss(network(references.sum(dim=1, keepdim=True)), references).backward()
    optimizer.step()
    steps.append(time.perf_counter() - started)
training = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
n_parameters = sum(parameter.numel() for parameter in network.parameters())
print(json.dumps([sorted(seconds)[len(seconds) // 2], peak, min(steps), training, n_parameters]))
"""


def cost(work: Path) -> Iterator[Row]:  # noqa: ARG001  # as all of them
    """Seconds for a 10-s clip and for a step of 4 x 2 s, and peak memory, of every size and basis."""
    for basis in ("learned", "stft"):
        for size in SEPARATOR_SIZES:
            n_times = "9" if size.startswith("cpu") else "3"
            done = subprocess.run(
                [sys.executable, "-c", COST, size, basis, n_times], capture_output=True, text=True, check=True
            )
            clip, peak, step, training, n_parameters = json.loads(done.stdout)
            measured = (
                f"{n_parameters / 1e6:.2f} M parameters; 10-s clip {clip:.3f} s, {peak:.1f} GiB; "
                f"step {step:.2f} s, {training:.1f} GiB"
            )
            is_default = (size, basis) == (SeparatorSettings().size, SeparatorSettings().basis)
            promised = "10-s clip <= 0.1 s" if is_default else ""
            yield Row(
                f"{size}, {basis} basis" + (" (default)" if is_default else ""),
                promised,
                measured,
                clip <= 0.1 or not is_default,
            )


def long_recordings(work: Path) -> Iterator[Row]:
    """An hour in less than 1 GB, and seams without an audible step."""
    folder = work / "long"
    folder.mkdir(exist_ok=True)
    hour = folder / "hour.wav"
    clips = sorted((make_noisy(work) / "ToyCar" / "test").glob("*.wav"))
    with soundfile.SoundFile(hour, "w", RATE, 1) as file:
        for index in range(int(3600 / 6.4) + 1):
            file.write(read(clips[index % len(clips)]))
    trained(work / "noisy", "noisy")
    started = time.perf_counter()
    arguments = (
        "separate",
        str(work / "noisy.soundness"),
        str(hour),
        "--out",
        str(folder / "out"),
        "--overwrite",
        "-q",
    )
    process = subprocess.Popen([COMMAND, *arguments], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)  # the peak of this command alone
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"soundness {' '.join(arguments)}: exit status {process.returncode}")
    seconds = time.perf_counter() - started
    peak = usage.ru_maxrss * 1024
    measured = f"{peak / GIB:.2f} GiB, {seconds:.0f} s"
    yield Row("an hour-long recording, peak memory", "< 1 GB", measured, peak < 1e9)
    yield from seams(load_separator(work / "noisy.soundness"), work / "stems" / "ToyCar" / "test")


def seams(separator: Separator, stems: Path) -> Iterator[Row]:
    """A minute of machine and noise, in chunks and whole."""
    paths = sorted(stems.glob("*_machine.wav"))[:10]
    machine = np.concatenate([read(path) for path in paths])[: 60 * RATE]
    noise = np.concatenate([read(path.with_name(path.name.replace("_machine", "_noise"))) for path in paths])
    mixture = (machine + noise[: len(machine)])[None].astype(np.float32)
    whole = np.concatenate(list(separator.separate_blocks([mixture], chunk_seconds=61)), axis=-1)[0, 0]
    chunked = separator.separate(mixture)[0, 0]
    difference = 10 * np.log10(np.sum((chunked - whole) ** 2) / np.sum(whole**2))
    yield Row("60 s, chunked less whole", "< -25 dB", f"{difference:.1f} dB", difference < -25)
    error = np.square(chunked - machine) / np.mean(np.square(whole - machine))
    is_seam = np.zeros(len(error), dtype=bool)
    for start in (28 * RATE, 30 * RATE):  # the second chunk fades in, the last one does
        is_seam[start : start + 2 * RATE] = True
    at, elsewhere = float(error[is_seam].mean()), float(error[~is_seam].mean())
    same = float((np.square(whole - machine) / np.mean(np.square(whole - machine)))[is_seam].mean())
    measured = f"{at:.3f} at the seams (there {same:.3f} without seams), {elsewhere:.3f} elsewhere"
    is_kept = at <= max(elsewhere, 1.02 * same)
    yield Row("60 s, error against the reference", "at seams not larger", measured, is_kept)


def detection(work: Path) -> Iterator[Row]:
    """Official scores without and with separation, and with the true stems in place of the recordings."""
    trained(make_noisy(work), "noisy")
    trained(make_factory(work), "factory")
    for data, title in (("noisy", "noisy toy car"), ("factory", f"factory ({', '.join(DETECTION_MACHINES)})")):
        scores = _official_scores(work, data)
        best = 0.0
        for system in (*NETWORKS, *WITHOUT_NETWORK):
            means = {}
            for mode in (*MODES, "stems"):
                if found := scores.get((system, mode)):
                    means[mode] = statistics.mean(found)
                    spread = f" ± {statistics.stdev(found):.1f}" if len(found) > 1 else ""
                    yield Row(f"{title}, {system}, {mode}", "", f"{means[mode]:.1f}{spread}", True)
            gap = means["stems"] - means["off"]
            share = max(means[mode] - means["off"] for mode in means if mode not in ("off", "stems")) / gap
            best = max(best, share)
            yield Row(f"{title}, {system}, share of the gap closed", "", f"{100 * share:.1f} % of {gap:.1f}", True)
        if data == "noisy":
            yield Row(f"{title}, best share of the gap", ">= 25 %", f"{100 * best:.1f} %", best >= 0.25)


def _official_scores(work: Path, data: str) -> dict[tuple[str, str], list[float]]:
    """In per cent, one for each seed, by system and input: two benchmarks, of recordings and of stems."""
    _stem_data(work, data)
    machines = ("ToyCar",) if data == "noisy" else DETECTION_MACHINES
    recordings = [(system, mode) for system in NETWORKS for mode in MODES]
    recordings += [(system, mode) for system in WITHOUT_NETWORK for mode in ("off", "denoise")]
    stems = [(system, "stems") for system in (*NETWORKS, *WITHOUT_NETWORK)]
    scores: dict[tuple[str, str], list[float]] = {}
    for folder, chosen in ((data, recordings), (f"{data}_stems", stems)):
        named = {f"{system}-{mode.replace('=', '-')}": (system, mode) for system, mode in chosen}
        files = [_settings_file(work, name, *named[name], is_shared=len(machines) > 1) for name in named]
        out = work / "detection" / folder
        options = ["--systems", ",".join(map(str, files)), "--seeds", SEEDS[data], "--machines", ",".join(machines)]
        options += [] if chosen is stems else ["--separator", str(work / f"{data}.soundness")]
        soundness("benchmark", str(work / folder), "--out", str(out), *options)
        for one in json.loads((out / "results.json").read_text())["measured"]:
            scores.setdefault(named[one["system"]], []).append(100 * one["evaluation"]["official_score"])
    return scores


def _settings_file(work: Path, name: str, system: str, mode: str, *, is_shared: bool) -> Path:
    """A system that comes with the package, with its separation, and one network for all machines or for each."""
    own = resources.files("soundness.settings").joinpath("systems", f"{system}.toml").read_text(encoding="utf-8")
    scope = 'scope = "shared"\n' if is_shared and system in NETWORKS else ""
    path = work / "systems" / f"{name}.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'separation = "{"off" if mode == "stems" else mode}"\n{scope}{own}', encoding="utf-8")
    return path


def _stem_data(work: Path, data: str) -> None:
    """The same data set with the true stems in place of the recordings."""
    stems, out = work / ("stems" if data == "noisy" else "factory_truth"), work / f"{data}_stems"
    for machine in ("ToyCar",) if data == "noisy" else DETECTION_MACHINES:
        for split in ("train", "test"):
            (out / machine / split).mkdir(parents=True, exist_ok=True)
            for path in sorted((stems / machine / split).glob("*_machine.wav")):
                name = path.name.replace("_machine.wav", ".wav")
                if not (out / machine / split / name).exists():
                    shutil.copy(path, out / machine / split / name)


SECTIONS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "noisy": noisy,
    "factory": factory,
    "cost": cost,
    "long": long_recordings,
    "sizes": sizes,
    "detection": detection,
}


if __name__ == "__main__":
    sys.exit(measure(SECTIONS, description=__doc__.splitlines()[0], page=DOCS, work=Path("out/benchmark-separation")))
