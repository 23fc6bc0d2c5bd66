"""Labels and domains of test clips: from their names, a labelled data set, or the official evaluator's files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from soundness.data.clips import DOMAINS, Clip, Domain, clip_key, clip_keys, parse_name
from soundness.data.datasets import open_dataset
from soundness.evaluation.score_files import domain_of_file, files_by_machine, read_binary

__all__ = [
    "ClipTruth",
    "Truth",
    "is_evaluator_truth",
    "read_truth",
    "truth_from_dataset",
    "truth_from_evaluator",
    "truth_from_names",
]

_DOMAIN_FOLDERS = tuple(f"{domain}_test" for domain in DOMAINS)


@dataclass(frozen=True, slots=True)
class ClipTruth:
    """Label and domain of one clip; ``is_test`` is False for a training clip.

    ``is_of_2021`` is True if its folder or truth file is one of its domain, as in 2021; ``None`` if only its name is
    known.
    """

    is_anomaly: bool
    domain: Domain | None
    is_test: bool = True
    is_of_2021: bool | None = field(default=None, compare=False)


Truth = Mapping[str, Mapping[str, ClipTruth]]
"""By machine type, then by `soundness.data.clips.clip_key`."""


def truth_from_names(file_names: Iterable[str]) -> dict[str, ClipTruth]:
    """Labels and domains in the challenge's names of labelled test clips.

    Parameters
    ----------
    file_names
        Names such as ``section_00_source_test_anomaly_0003_vel_6.wav`` of one machine's clips; those without a label,
        and those of training and supplemental clips, are left out.
    """
    truth: dict[str, ClipTruth] = {}
    for stem in clip_keys(file_names):
        parts = parse_name(stem.rpartition("/")[2])
        if parts is not None and parts.label is not None and parts.split in (None, "test"):
            truth[stem] = ClipTruth(parts.label == "anomaly", parts.domain)
    return truth


def read_truth(path: Path) -> Truth:
    """Read labels and domains from a folder that holds ``ground_truth_data`` or its files, or else a labelled data set.

    Raises
    ------
    ScoresError
        If a file of the official evaluator has a wrong name or row.
    DataError
        If it is neither.
    """
    return truth_from_evaluator(path) if is_evaluator_truth(path) else truth_from_dataset(path)


def is_evaluator_truth(path: Path) -> bool:
    """True if a folder holds truth files of the official evaluator."""
    return (path / "ground_truth_data").is_dir() or any(path.glob("ground_truth_*.csv"))


def truth_from_evaluator(path: Path) -> Truth:
    """Read labels of the official evaluator; domains from ``ground_truth_domain`` or its file names (2021)."""
    label_folder = path / "ground_truth_data" if (path / "ground_truth_data").is_dir() else path
    domain_files = files_by_machine(label_folder.parent / "ground_truth_domain", "ground_truth")
    truth: dict[str, dict[str, ClipTruth]] = {}
    for (machine_type, section), files in files_by_machine(label_folder, "ground_truth").items():
        domains = {
            key: DOMAINS[index]
            for file in domain_files.get((machine_type, section), ())
            for key, index in _binary_by_key(file).items()
        }
        clips = truth.setdefault(machine_type, {})
        for file in files:
            of_file = domain_of_file(file)
            for key, label in _binary_by_key(file).items():
                clips[key] = ClipTruth(
                    label == 1, domains.get(key, of_file), is_of_2021=True if of_file is not None else None
                )
    return truth


def truth_from_dataset(path: Path) -> Truth:
    """Read labels and domains of a data set's clips; several clips of one name are known by their paths."""
    truth: dict[str, dict[str, ClipTruth]] = {}
    for machine_type, machine in open_dataset(path).machines.items():
        clips = truth.setdefault(machine_type, {})
        by_name: dict[str, list[Clip]] = {}
        for clip in machine.clips:
            if clip.label is not None and clip.split != "supplemental":
                by_name.setdefault(clip_key(clip.path.name), []).append(clip)
        for name, own in by_name.items():
            own.sort(key=lambda clip: clip.split == "test")  # which has precedence
            n_truths = len({(clip.label, clip.domain) for clip in own})
            if n_truths == 1 and sum(clip.split == "test" for clip in own) <= 1:
                clips[name] = _truth(own[-1])
            else:
                clips |= {key: _truth(clip) for key, clip in zip(clip_keys(c.key for c in own), own, strict=True)}
    return truth


def _truth(clip: Clip) -> ClipTruth:
    is_of_2021 = clip.path.parent.name.lower() in _DOMAIN_FOLDERS
    return ClipTruth(clip.label == "anomaly", clip.domain, clip.split == "test", is_of_2021)


def _binary_by_key(path: Path) -> dict[str, int]:
    return {clip_key(name): value for name, value in read_binary(path).items()}
