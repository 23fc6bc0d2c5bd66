"""The commands of the main job: look at recordings, train, separate, score, evaluate."""

import functools
import json
from pathlib import Path
from typing import Annotated, Literal

import typer

import soundness
from soundness.cli.application import (
    Data,
    Machines,
    Overrides,
    Overwrite,
    Quiet,
    Resume,
    SeparatorFile,
    app,
    command,
    split_names,
    write_json,
)
from soundness.cli.console import progress_bars, say, show_lines, show_table, warn
from soundness.settings.loading import DEFAULT_SYSTEM

__all__: list[str] = []


@app.command()
@command
def inspect(
    data: Data,
    *,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report to this file, too.")] = None,
    quiet: Quiet = False,
) -> int:
    """Show what a data set holds and what is wrong with it, before any training."""
    from soundness.data.inspection import COLUMNS, table_rows

    with progress_bars(is_quiet=quiet) as bars:
        inspection = soundness.inspect(data, progress=functools.partial(bars, "listening"))
    show_table(str(data), [COLUMNS, *table_rows(inspection)], n_left=7)
    show_lines(f"{len(inspection.problems)} problem(s)", [str(problem) for problem in inspection.problems])
    if json_file is not None:
        write_json(json_file, json.dumps(inspection.to_json(), indent=2))
    return 0


@app.command(name="make-data")
@command
def make_data(
    out: Annotated[Path, typer.Argument(help="Folder of the data set; the truth goes to its sibling OUT_truth.")],
    *,
    machines: Annotated[str, typer.Option(help="Machine types, with commas between.", show_default="all seven")] = "",
    train: Annotated[int, typer.Option(help="Training clips of a machine, those of the target domain included.")] = 60,
    target: Annotated[int, typer.Option(help="Training clips of the target domain.")] = 10,
    test_normal: Annotated[int, typer.Option(help="Normal test clips, half of each domain.")] = 50,
    test_anomaly: Annotated[int, typer.Option(help="Anomalous test clips, half of each domain.")] = 50,
    supplemental: Annotated[int, typer.Option(help="Supplemental clips: clean machine sound or noise alone.")] = 40,
    seconds: Annotated[float, typer.Option(help="Length of a clip.")] = 10.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.", min=0)] = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Make a data set of synthetic machine sounds, in the layout of DCASE 2025."""
    named = {"machines": tuple(split_names(machines))} if machines else {}
    with progress_bars(is_quiet=quiet) as bars:
        result = soundness.make_data(
            out,
            overwrite=overwrite,
            progress=bars,
            n_train=train,
            n_target_train=target,
            n_test_normal=test_normal,
            n_test_anomaly=test_anomaly,
            n_supplemental=supplemental,
            seconds=seconds,
            seed=seed,
            **named,
        )
    say(f"{result.n_clips} clips in {result.root}, the truth about them in {result.truth}")
    return 0


@app.command(name="train-separator")
@command
def train_separator(
    data: Data,
    *,
    out: Annotated[Path, typer.Option(help="The separator's file; pictures go to its sibling OUT_pictures.")],
    size: Annotated[str, typer.Option(help="cpu, cpu-quality, gpu or paper.", show_default="cpu")] = "",
    basis: Annotated[str, typer.Option(help="learned or stft: what the masks lie on.", show_default="stft")] = "",
    minutes: Annotated[float | None, typer.Option(help="Longest time to train for.", show_default="20")] = None,
    machines: Annotated[
        str, typer.Option(help="Machine types whose sound is learned, with commas between.", show_default="all")
    ] = "",
    start: Annotated[
        Path | None, typer.Option(help="A separator to begin with, to fine-tune it to some machines.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.", min=0)] = 0,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a setting, as in snr_db=[-10,0]; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Learn to tell machines from the noise around them, from the supplemental clips of a data set."""
    from soundness.cli.reports import show_separator

    named = {"size": size, "basis": basis, "minutes": minutes}
    with progress_bars(is_quiet=quiet) as bars:
        separator, pictures = soundness.train_separator(
            data,
            out,
            overrides=[
                *(overrides or ()),
                *(f"{key}={value}" for key, value in named.items() if value not in ("", None)),
            ],
            machines=split_names(machines),
            start=start,
            seed=seed,
            resume=resume,
            overwrite=overwrite,
            progress=None if quiet else bars,
        )
    show_separator(separator, out, pictures)
    return 0


@app.command()
@command
def separate(
    separator: Annotated[Path, typer.Argument(help="A file that train-separator wrote.", show_default=False)],
    recordings: Annotated[
        list[Path],
        typer.Argument(
            help="Recordings of any length, and folders that are searched for them.",
            show_default=False,
            metavar="IN...",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="The machine goes to OUT/machine, the noise to OUT/noise.")],
    noise: Annotated[bool, typer.Option("--noise", help="Write the noise, too.")] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Take the machine out of the noise around it."""
    with progress_bars(is_quiet=quiet) as bars:
        report = soundness.separate(
            separator,
            recordings,
            out,
            has_noise=noise,
            overwrite=overwrite,
            progress=functools.partial(bars, "separating"),
        )
    show_lines("to know", report.notes)
    show_lines(f"{len(report.failures)} recording(s) could not be separated", report.failures)
    say(f"{report.n_separated} recordings separated, {report.seconds / 60:.1f} minutes of sound; results in {out}")
    if report.n_separated == 0:
        return 2
    return 1 if report.failures else 0


@app.command()
@command
def train(
    data: Data,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the detectors, one file per machine, and the logs.")],
    system: Annotated[
        str,
        typer.Option(help="One that `soundness systems` lists, or a settings file (.toml)."),
    ] = DEFAULT_SYSTEM,
    separation: Annotated[
        str | None,
        typer.Option(
            help="What is done with separated machine sound. augment: the network is trained on it, too; denoise: it "
            "takes the place of every recording; target=separated: the network reads a recording and reconstructs it; "
            "off.",
            show_default="augment where there is a network, and a separator or noise-only clips to train one; without "
            "a network denoise where a separator is given; else off",
        ),
    ] = None,
    separator: SeparatorFile = None,
    machines: Machines = "",
    seed: Annotated[int, typer.Option(help="Of everything random.", min=0)] = 0,
    overrides: Overrides = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Learn from normal recordings what each machine sounds like when it is well."""
    from soundness.cli.reports import show_detectors

    chosen = [] if separation is None else [f"separation={separation}"]
    with progress_bars(is_quiet=quiet) as bars:
        detectors = soundness.train(
            data,
            out,
            system=system,
            overrides=[*(overrides or ()), *chosen],
            separator=separator,
            machines=split_names(machines),
            seed=seed,
            resume=resume,
            overwrite=overwrite,
            progress=None if quiet else bars,
            announce=None if quiet else warn,
        )
    show_detectors(detectors, out)
    say(f"next: soundness score {out} CLIPS --out SCORES")
    return 0


@app.command()
@command
def score(
    detector: Annotated[Path, typer.Argument(help="A detector (.soundness), or a run's folder.", show_default=False)],
    clips: Annotated[
        list[Path],
        typer.Argument(help="Recordings, folders of them, or data sets: their test clips.", show_default=False),
    ],
    *,
    out: Annotated[
        Path, typer.Option(help="Folder for the challenge's two CSV files a machine, p-values, and failed.csv.")
    ],
    alarms: Annotated[
        bool,
        typer.Option("--alarms", help="Apply the alarm rule of the detector, in the order of the recordings' names."),
    ] = False,
    runtime: Annotated[
        Literal["torch", "onnx"],
        typer.Option(help="PyTorch; or onnxruntime, for a detector that soundness export wrote."),
    ] = "torch",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Score recordings: the higher, the more anomalous."""
    with progress_bars(is_quiet=quiet) as bars:
        report = soundness.score(
            detector,
            clips,
            out,
            overwrite=overwrite,
            has_alarms=alarms,
            runtime=runtime,
            progress=functools.partial(bars, "scoring"),
        )
    show_lines("to know", [*report.notes, *report.warnings])
    show_lines(
        f"{len(report.failures)} recording(s) could not be scored (all in {out / 'failed.csv'})", report.failures
    )
    if report.most_anomalous:
        rows = [("score", "p-value", "recording")]
        rows += [
            (f"{value:.2f}", "" if p_value is None else f"{p_value:.4f}", str(path))
            for path, value, p_value in report.most_anomalous
        ]
        show_table("the most_anomalous of those called anomalous", rows, n_left=3)
    if alarms:
        for path in report.alarms:
            say(f"ALARM {path}")
        say(f"{len(report.alarms)} alarm(s)")
    say(f"{report.n_scored} recordings scored, {report.n_flagged} of them called anomalous; scores in {out}")
    if report.n_scored == 0:
        return 2
    return 1 if report.failures else 0


@app.command()
@command
def evaluate(
    scores: Annotated[Path, typer.Argument(help="Folder of score files, anybody's.", show_default=False)],
    *,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="A labelled data set (its test clips, or normal/ and abnormal/), or the folder of the official "
            "evaluator's truth files.",
            show_default="file names as the challenge's: section_00_source_test_anomaly_0003_x.wav",
        ),
    ] = None,
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
    seed: Annotated[int, typer.Option(help="Of the bootstrap.", min=0)] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file, too.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the scores alone, without the table.")] = False,
) -> int:
    """Compute the challenge's official figures from scores."""
    from soundness.cli.reports import show_comparison, show_evaluation

    if against is not None:
        comparison = soundness.compare(scores, against, truth=truth, metric=metric, seed=seed)
        show_comparison(comparison, title=f"{scores} against {against}", is_quiet=quiet)
        if json_file is not None:
            write_json(json_file, comparison.model_dump_json(indent=2))
        return 0
    evaluation = soundness.evaluate(scores, truth=truth, metric=metric)
    show_evaluation(evaluation, title=str(scores), is_quiet=quiet)
    if json_file is not None:
        write_json(json_file, evaluation.model_dump_json(indent=2))
    return 0


@app.command()
@command
def demo(
    *,
    out: Annotated[Path, typer.Option(help="Folder for data, detectors, scores and pictures.")] = Path("demo"),
    machines: Annotated[str, typer.Option(help="Machine types, with commas between.")] = "fan,gearbox",
    seed: Annotated[int, typer.Option(help="Of the data and the training.", min=0)] = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Show the main job on built-in data: make sounds, train, score, evaluate, draw."""
    from soundness.cli.reports import show_demo

    with progress_bars(is_quiet=quiet) as bars:
        result = soundness.demo(
            out, machines=split_names(machines), seed=seed, overwrite=overwrite, progress=None if quiet else bars
        )
    show_demo(result)
    return 0
