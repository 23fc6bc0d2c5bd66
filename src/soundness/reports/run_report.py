"""`report`: one self-contained page on a training or a benchmark."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from soundness.aliases import PathLike, Progress
from soundness.benchmarking.results import BenchmarkResult, place_of
from soundness.detectors.saving import load
from soundness.detectors.verdicts.score_table import read_score_table
from soundness.errors import DataError, OutputError, ScoresError
from soundness.evaluation.labelled_scores import read_labelled
from soundness.evaluation.results import evaluate
from soundness.evaluation.score_files import read_scores
from soundness.evaluation.truth import is_evaluator_truth
from soundness.extras import check_extra
from soundness.files.atomic import write_whole
from soundness.files.run_folders import read_identity
from soundness.regular_files import read_regular
from soundness.reports.pages import render_page
from soundness.reports.players import NO_RECORDINGS, Recordings, find_recordings
from soundness.reports.recording_rows import Links, find_explanations
from soundness.reports.report_tables import (
    benchmark_verdict,
    count,
    data_rows,
    heat_rows,
    run_verdict,
    summary_rows,
    versions,
)
from soundness.reports.system_section import NOTHING_SCORED, Scored, Trained, system_part

__all__ = ["ReportFile", "report"]

_RUN_FILE = "run.json"
_BENCHMARK_FILE = "benchmark.json"
_RESULTS_FILE = "results.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFile:
    """A report that was written.

    Parameters
    ----------
    path
        File of the page.
    n_bytes
        Size of the file.
    n_sounds
        Number of recordings that it plays.
    notes
        Missing parts and the reasons, a line each.
    """

    path: Path
    n_bytes: int
    n_sounds: int
    notes: tuple[str, ...]


def report(
    run_or_benchmark: PathLike,
    out: PathLike,
    *,
    scores: PathLike | None = None,
    truth: PathLike | None = None,
    data: PathLike | None = None,
    progress: Progress | None = None,
) -> ReportFile:
    """Write one self-contained page on a training or a benchmark; recordings are played where they are still found.

    Parameters
    ----------
    run_or_benchmark
        Folder of a run, or of a benchmark.
    out
        File of the page; one that is there is replaced.
    scores
        Folder of the run's scores; ``None`` for a run that has scored nothing. A benchmark has its own.
    truth
        A labelled data set, or the official evaluator's truth; ``None`` takes labels from the names of the clips or,
        for a benchmark, from its data.
    data
        Folder of the recordings; ``None`` takes ``truth``, if it is a data set, or the data of the benchmark.
    progress
        Called with a name of what is being read, the number of systems done and the total.

    Raises
    ------
    OutputError
        If the first folder is neither, or the page cannot be written.
    ScoresError
        If the scores or their truth cannot be read, or the benchmark was not finished.
    BundleError
        If a detector cannot be read.
    DataError
        If ``data`` is given and is no data set.
    MissingExtraError
        If the extra ``train`` is not installed.
    """
    check_extra("pages")
    folder, out = Path(run_or_benchmark), Path(out)
    scores, truth, data = (None if path is None else Path(path) for path in (scores, truth, data))
    is_benchmark = (folder / _BENCHMARK_FILE).exists()
    if not is_benchmark and not (folder / _RUN_FILE).exists():
        raise OutputError(
            f"{folder}: expected the folder of a training or a benchmark, "
            f"found neither {_RUN_FILE} nor {_BENCHMARK_FILE} in it"
        )
    if is_benchmark and scores is not None:
        raise ScoresError(f"{scores}: a benchmark has scores of its own; --scores is for the folder of a training")
    if out.is_dir():
        raise OutputError(f"{out}: is a folder; a file for the page is expected, such as {out / 'report.html'}")
    if out.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"{out}: a page's file ends in .html; anything else there would be replaced by it")
    places = _Places(truth, data)
    links = find_explanations(out)
    page = (
        _benchmark_page(folder, places, links, progress) if is_benchmark else _run_page(folder, scores, places, links)
    )
    anchors = {system.name: system.anchor for system in page["systems"]}
    time = datetime.now().astimezone().strftime("%d %B %Y, %H:%M")
    write_whole(out, render_page("report.html", **page, anchors=anchors, time=time))
    n_sounds = sum(
        clip.sound is not None
        for system in page["systems"]
        for machine in system.machines
        for clip in (*machine.highest, *machine.lowest)
    )
    return ReportFile(path=out, n_bytes=out.stat().st_size, n_sounds=n_sounds, notes=tuple(page["missing"]))


@dataclass(frozen=True, slots=True)
class _Places:
    """Folders of truth and recordings."""

    truth: Path | None
    data: Path | None

    @property
    def is_unknown(self) -> bool:
        """True where nobody names a folder of recordings."""
        return self.data is None and (self.truth is None or is_evaluator_truth(self.truth))

    def recordings(self, missing: list[str], default: Path | None = None) -> tuple[Recordings, Path | None]:
        """Recordings that can be played, and their data set; if there are none, `missing` gets the reason."""
        if self.data is not None:
            return find_recordings(self.data), self.data
        is_set = self.truth is not None and not is_evaluator_truth(self.truth)
        folder = self.truth if is_set else default
        reason = "their folder is not known"
        if folder is not None:
            try:
                return find_recordings(folder), folder
            except DataError as error:
                reason = str(error)
        missing.append(f"no recordings to play: {reason}; --data names their folder")
        return NO_RECORDINGS, None


def _run_page(run: Path, scores: Path | None, places: _Places, links: Links) -> dict[str, Any]:
    detectors = load(run)
    lacking = [name for name in read_identity(run / _RUN_FILE)["machine_types"] if name not in detectors]
    missing = [f"{name}: its training was not finished" for name in lacking]
    scored, recordings, data = NOTHING_SCORED, NO_RECORDINGS, places.data
    if scores is None:
        missing.append("no scores: --scores names the folder that soundness score wrote")
    else:
        scored = _scored(scores, places.truth, links, missing)
        known = {(row.machine, row.path.name): row.path for row in scored.table if row.path.is_file()}
        recordings, data = (known, None) if known and places.is_unknown else places.recordings(missing)
    trained = Trained(run, detectors)
    system, problems = system_part(trained, scored, recordings, has_players=True)
    missing += [*problems, *_not_found(scored, recordings)]
    return {
        **dict.fromkeys(("summary", "heat", "heat_machines", "details"), ()),
        "kind": "training",
        "counts": system.counts if scored.machines else {},
        "title": f"{system.name} on {count(len(detectors), 'machine')}",
        "folder": str(run),
        "verdict": run_verdict(detectors, scored.evaluation),
        "has_published": False,
        "definition": "" if scored.evaluation is None else scored.evaluation.definition,
        "data": data_rows(detectors, scored, data),
        "systems": [system],
        "versions": versions(detectors),
        "missing": missing,
    }


def _benchmark_page(out: Path, places: _Places, links: Links, progress: Progress | None) -> dict[str, Any]:
    result = _read_result(out / _RESULTS_FILE)
    missing = [f"failed: {failure}" for failure in result.failures]
    recordings, data = places.recordings(missing, Path(result.data))
    truth = places.truth if places.truth is not None else data
    if truth is None:
        missing.append(f"{result.data}: not found; labels are those in the names of the clips")
    ranked = result.ranked
    page: dict[str, Any] = {
        "kind": "benchmark",
        "counts": {},
        "title": f"{count(len(ranked), 'system')} on {count(len(result.machine_types), 'machine')}",
        "folder": str(out),
        "verdict": benchmark_verdict(result),
        "summary": summary_rows(result),
        "heat": heat_rows(result),
        "heat_machines": result.machine_types,
        "has_published": bool(result.published),
        "details": result.table_rows(),
        "definition": result.measured[0].evaluation.definition,
        "systems": [],
        "missing": missing,
    }
    for number, name in enumerate(ranked):
        measured = next(one for one in result.measured if one.system == name)
        run, folder = (place_of(out, kind, name, measured.seed) for kind in ("runs", "scores"))
        trained = Trained(run, load(run), shared=out / "separators")
        labelled, table = read_labelled(folder, truth=truth), read_score_table(folder)
        scored = Scored(read_scores(folder), labelled, measured.evaluation, table, links)
        system, problems = system_part(trained, scored, recordings, has_players=number == 0)
        page["systems"].append(system)
        if number == 0:  # data and versions are the same for all
            page["data"], page["versions"] = data_rows(trained.detectors, scored, data), versions(trained.detectors)
            missing += [*problems, *_not_found(scored, recordings)]
        if progress is not None:
            progress("reading systems", number + 1, len(ranked))
    return page


def _read_result(file: Path) -> BenchmarkResult:
    try:
        result = BenchmarkResult.model_validate_json(read_regular(file))
    except FileNotFoundError:
        raise ScoresError(f"{file}: not there; a benchmark writes it when all its systems are done") from None
    except (OSError, ValidationError) as error:
        raise ScoresError(f"{file}: not the results of a benchmark: {str(error).splitlines()[0]}") from None
    if not result.measured:
        raise ScoresError(f"{file}: none of the systems could be measured: {'; '.join(result.failures)}")
    return result


def _scored(folder: Path, truth: Path | None, links: Links, missing: list[str]) -> Scored:
    """Scores with labels and figures, if there are any; otherwise `missing` gets a line."""
    labelled, table = read_labelled(folder, truth=truth), read_score_table(folder)
    if not labelled.clips:
        missing.append(f"{folder}: no labels, so neither figures nor ROC; --truth names a folder that has them")
        return Scored(read_scores(folder), labelled, None, table, links)
    return Scored(read_scores(folder), labelled, evaluate(folder, truth=truth), table, links)


def _not_found(scored: Scored, recordings: Recordings) -> list[str]:
    """Line on scored recordings that are not found any more."""
    names = [(one.machine_type, name) for one in scored.machines for name in one.file_names]
    lost = [name for machine, name in names if (machine, name) not in recordings and ("", name) not in recordings]
    if not recordings or not lost:
        return []
    return [f"{len(lost)} of {len(names)} scored recordings are not found where the others are, such as {lost[0]}"]
