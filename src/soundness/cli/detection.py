"""Commands that train detectors, score recordings and evaluate scores."""

import functools
import json
from pathlib import Path
from typing import Annotated, Literal

import typer

import soundness
from soundness.cli.console import ProgressBars, say, show_lines, show_table
from soundness.cli.options import (
    Columns,
    Data,
    GroupBy,
    JsonFile,
    Keep,
    Machines,
    Native,
    Overrides,
    Overwrite,
    Pattern,
    Quiet,
    Rate,
    Resume,
    RunOrDetector,
    Seed,
    SeparatorFile,
    Since,
    Truth,
    existing_results,
    split_names,
    table_overrides,
)
from soundness.files.atomic import write_whole
from soundness.settings.loading import DEFAULT_SYSTEM

__all__ = ["evaluate", "export", "score", "systems", "train"]


def systems() -> int:
    """List the systems that come with soundness, each with a line of description.

    `soundness train DATA --out RUN --system NAME` trains one. `--set KEY=VALUE` changes any of its settings, and a
    settings file of your own (.toml) takes the place of a name.
    """
    show_table("systems", [("system", "description"), *soundness.system_descriptions().items()], n_left=2)
    return 0


def train(
    data: Data,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the detectors, one file per machine, and the logs.")],
    system: Annotated[
        str, typer.Option(help="Name from `soundness systems`, or a settings file (.toml).")
    ] = DEFAULT_SYSTEM,
    separation: Annotated[
        str | None,
        typer.Option(
            help="Use of separated machine sound. augment: the network is trained on it, too; denoise: it replaces "
            "every recording; target=separated: the network reads a recording and reconstructs it; off.",
            show_default="augment where there is a network, and a separator or noise-only clips to train one; without "
            "a network denoise where a separator is given; else off",
        ),
    ] = None,
    separator: SeparatorFile = None,
    group_by: GroupBy = None,
    keep: Keep = None,
    rate: Rate = None,
    columns: Columns = None,
    native: Native = False,
    machines: Machines = "",
    pattern: Pattern = None,
    since: Since = None,
    seed: Seed = 0,
    overrides: Overrides = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Train a detector for each machine from normal recordings alone."""
    from soundness.cli.tables import show_detectors
    from soundness.data.sample_rates import native_overrides

    chosen = [] if separation is None else [f"separation={separation}"]
    chosen += [] if group_by is None else [f"group_by={json.dumps(group_by)}", "dependence=find"]
    changes = [*(overrides or ()), *chosen, *table_overrides(rate, columns)]
    selection = soundness.Selection(data, pattern=pattern, since=since, keep=keep or ())
    if native:
        changes = [*native_overrides(selection, system, changes, machines=split_names(machines)), *changes]
    with ProgressBars(is_quiet=quiet) as bars:
        detectors = soundness.train(
            selection,
            out,
            system=soundness.load_settings(system, overrides=changes),
            separator=separator,
            machines=split_names(machines),
            seed=seed,
            existing=existing_results(resume=resume, overwrite=overwrite),
            progress=bars,
        )
    show_detectors(detectors, out)
    say(f"next: soundness score {out} CLIPS --out SCORES")
    return 0


def score(
    detector: RunOrDetector,
    clips: Annotated[
        list[Path],
        typer.Argument(help="Recordings, folders of them, or data sets: their test clips.", show_default=False),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for scores.csv, a row for each recording, and the challenge's two CSV files a machine.",
            show_default="print alone",
        ),
    ] = None,
    alarms: Annotated[
        bool,
        typer.Option(
            "--alarms",
            help="Apply the alarm rule of the detector, in the order of the recordings' names, numbers as numbers.",
        ),
    ] = False,
    runtime: Annotated[
        Literal["auto", "torch", "onnx"],
        typer.Option(help="torch for detectors as they are trained, onnx for exported ones, auto for what is there."),
    ] = "auto",
    pattern: Pattern = None,
    since: Since = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Score recordings, and say of each: ANOMALOUS, NORMAL or CANNOT TELL, and why.

    Exit status: 0 all were scored, whatever the verdicts; 1 some could not be scored; 2 none could, or all are
    training clips, and why.
    """
    from soundness.cli.verdicts import show_rows, show_summary

    with ProgressBars(is_quiet=quiet) as bars:
        report = soundness.score(
            detector,
            soundness.Selection(clips, pattern=pattern, since=since),
            out,
            overwrite=overwrite,
            has_alarms=alarms,
            runtime=runtime,
            progress=functools.partial(bars, "scoring"),
        )
    show_lines("notes", [*report.notes, *report.warnings])
    kept = "" if out is None else f" (all in {out / 'failed.csv'})"
    show_lines(f"{len(report.failures)} recording(s) could not be scored{kept}", report.failures)
    if out is None:
        show_rows(report.rows)
    show_summary(report, has_rows=out is None)
    if alarms:
        for path in report.alarms:
            say(f"ALARM {path}")
        say(f"{len(report.alarms)} alarm(s)")
    kept = "--out FOLDER keeps the scores" if out is None else f"all in {out / 'scores.csv'}"
    undecided = f", {report.n_undecided} CANNOT TELL" if report.n_undecided else ""
    say(f"{report.n_scored} recordings scored, {report.n_flagged} of them ANOMALOUS{undecided}; {kept}")
    if report.n_scored == report.n_known:  # none, or none that says anything about the machine
        return 2
    return 1 if report.failures else 0


def evaluate(
    scores: Annotated[Path, typer.Argument(help="Folder of score files of any system.", show_default=False)],
    *,
    truth: Truth = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help="Metric of the challenge of 2020 (ids), of 2021 (sections and domains), or of 2022 and later.",
            show_default="recognised by names and folders",
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            help="Another folder of scores of the same clips: compare the two, by a bootstrap over the clips.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    json_file: JsonFile = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the scores alone, without the table.")] = False,
) -> int:
    """Measure how well scores tell anomalous recordings from normal ones: the official figures of the challenge."""
    from soundness.cli.tables import show_comparison, show_evaluation

    if against is not None:
        comparison = soundness.compare(scores, against, truth=truth, metric=metric, seed=seed)
        show_comparison(comparison, title=f"{scores} against {against}", is_quiet=quiet)
        if json_file is not None:
            write_whole(json_file, comparison.model_dump_json(indent=2) + "\n")
        return 0
    evaluation = soundness.evaluate(scores, truth=truth, metric=metric)
    show_evaluation(evaluation, title=str(scores), is_quiet=quiet)
    if json_file is not None:
        write_whole(json_file, evaluation.model_dump_json(indent=2) + "\n")
    return 0


def export(
    detector: RunOrDetector,
    *,
    out: Annotated[Path, typer.Option(help="Folder for MACHINE.onnx and MACHINE.json.")],
    check: Annotated[
        list[Path] | None,
        typer.Option(
            help="Recordings, or a folder of them, on which export and detector must agree; may be repeated.",
            show_default="synthetic sounds",
        ),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Write a detector as one ONNX file that runs without PyTorch and gives the same scores."""
    with ProgressBars(is_quiet=quiet) as bars:
        exports = soundness.export(detector, out, check=check or (), overwrite=overwrite, progress=bars)
    for each in exports:
        show_lines("notes", each.notes)
        say(
            f"{each.graph}: {each.n_bytes / 1e6:.1f} MB; agrees on {each.n_sounds} sounds and {each.n_clips} "
            f"recordings, scores within {each.largest_difference:.1g}"
        )
    say(f"next: soundness score {out} CLIPS --out SCORES")
    return 0
