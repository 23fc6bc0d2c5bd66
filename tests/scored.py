"""Labels and scores, and folders of scores and of truth, for tests of evaluations."""

from pathlib import Path

from hypothesis import strategies as st

from soundness.evaluation.results import Evaluation
from soundness.evaluation.score_files import ClipScore, write_scores

# Few levels, so that ties are common; integers, so that monotone maps keep them apart.
clips_with_both_labels = st.lists(st.tuples(st.integers(0, 1), st.integers(-6, 6)), min_size=2, max_size=60).filter(
    lambda clips: len({label for label, _ in clips}) == 2
)


Clips = list[tuple[int, int]]


# Two normal clips and an anomalous one of each domain; target scores are higher throughout.
FAN = {
    "section_00_source_test_normal_0000_x.wav": (1.0, 0),
    "section_00_source_test_normal_0001_x.wav": (3.0, 1),
    "section_00_source_test_anomaly_0000_x.wav": (2.0, 0),
    "section_00_target_test_normal_0000_x.wav": (4.0, 1),
    "section_00_target_test_normal_0001_x.wav": (6.0, 1),
    "section_00_target_test_anomaly_0000_x.wav": (5.0, 1),
}


def write(folder: Path, machine_type: str, rows: dict[str, tuple[float, int]], *, section: str = "section_00") -> None:
    write_scores(folder, machine_type, section, [ClipScore(name, *row) for name, row in rows.items()])


def without_labels(rows: dict[str, tuple[float, int]]) -> dict[str, tuple[float, int]]:
    return {f"section_00_{number:04}.wav": row for number, row in enumerate(rows.values())}


def write_evaluator_truth(folder: Path, machine_type: str, rows: dict[str, tuple[float, int]]) -> None:
    """The official evaluator's files for clips whose labels are hidden by `without_labels`."""
    for kind, word in {"data": "anomaly", "domain": "target"}.items():
        (folder / f"ground_truth_{kind}").mkdir(parents=True, exist_ok=True)
        lines = [f"{new},{int(word in old)}\n" for old, new in zip(rows, without_labels(rows), strict=True)]
        path = folder / f"ground_truth_{kind}" / f"ground_truth_{machine_type}_section_00_test.csv"
        path.write_text("".join(lines))


def write_dataset(folder: Path, machine_type: str, rows: dict[str, tuple[float, int]]) -> None:
    for split in ("train", "test"):
        (folder / machine_type / split).mkdir(parents=True)
    (folder / machine_type / "train" / "section_00_source_train_normal_0000_x.wav").touch()
    for name in rows:
        (folder / machine_type / "test" / name).touch()


def notes_of(evaluation: Evaluation) -> str:
    return "\n".join(evaluation.notes)
