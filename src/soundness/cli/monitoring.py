"""The commands of an engineer who looks after machines."""

import functools
import json
from pathlib import Path
from typing import Annotated

import typer

import soundness
from soundness.cli.application import Overwrite, Quiet, app, command, write_json
from soundness.cli.console import progress_bars, say, show_lines, show_table, warn

__all__: list[str] = []

OneDetector = Annotated[
    Path, typer.Argument(help="A detector (.soundness), or the folder of a run with one machine.", show_default=False)
]


@app.command()
@command
def calibrate(
    detector: OneDetector,
    clips: Annotated[
        list[Path],
        typer.Argument(help="Normal recordings that it was not trained on, or folders of them.", show_default=False),
    ],
    *,
    out: Annotated[Path, typer.Option(help="File of the calibrated detector.")],
    domain: Annotated[
        str | None,
        typer.Option(
            help="Domain of all clips, such as target; the calibration of others stays.",
            show_default="what their names say; all calibration is replaced",
        ),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Make p-values and threshold by fresh normal clips; they hold as long as normal sounds go on like these."""
    with progress_bars(is_quiet=quiet) as bars:
        calibrated = soundness.calibrate(
            detector, clips, out, domain=domain, overwrite=overwrite, progress=functools.partial(bars, "scoring")
        )
    if calibrated.calibration is not None:
        show_lines("to know", [*calibrated.calibration.notes, *calibrated.threshold.notes])
    say(f"threshold {calibrated.threshold.value:.3f}; calibrated detector in {out}")
    return 0


@app.command()
@command
def alarms(
    detector: OneDetector,
    *,
    false_alarms: Annotated[str, typer.Option(help="How many may be expected: 1/day, 2/week, 0.5/h.")],
    clip_every: Annotated[str, typer.Option(help="Time from one clip to the next: 10s, 1min.")],
    recording: Annotated[
        list[Path] | None,
        typer.Option(
            help="A long normal recording, or a folder of clips in the order of their names, to check the rule with; "
            "may be repeated.",
            show_default=False,
        ),
    ] = None,
    longest: Annotated[int, typer.Option(help="Longest window of a rule, in clips.", min=1)] = 10,
    out: Annotated[
        Path | None, typer.Option(help="File of the detector with the rule.", show_default="only show the rule")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap over the recording.", min=0)] = 0,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Propose when to raise an alarm, so that false ones are as rare as is asked for."""
    from soundness.cli.reports import show_proposal

    with progress_bars(is_quiet=quiet) as bars:
        proposal = soundness.alarms(
            detector,
            false_alarms=false_alarms,
            clip_every=clip_every,
            recordings=recording or (),
            longest=longest,
            out=out,
            overwrite=overwrite,
            seed=seed,
            progress=functools.partial(bars, "replaying"),
        )
    show_proposal(proposal)
    if out is not None:
        say(f"detector with this rule in {out}")
    return 0


@app.command()
@command
def watch(
    folder: Annotated[Path, typer.Argument(help="Recordings appear in it, or below it.", show_default=False)],
    *,
    detector: Annotated[Path, typer.Option(help="A detector (.soundness) with an alarm rule, or a run's folder.")],
    log: Annotated[
        Path | None, typer.Option(help="Ends in .csv or .sqlite.", show_default="alarms.csv in FOLDER")
    ] = None,
    webhook: Annotated[
        str | None, typer.Option(help="Address that alarms are posted to, as JSON.", metavar="URL", show_default=False)
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Score what is there, and stop.")] = False,
    poll: Annotated[float, typer.Option(help="Seconds from one look to the next.")] = 2.0,
    longest: Annotated[float, typer.Option(help="Seconds of a recording that are heard at the most.")] = 600.0,
) -> int:
    """Score recordings as they appear in a folder, and raise alarms; the log remembers what was scored."""
    counts = soundness.watch(
        folder,
        detector=detector,
        log=log,
        webhook=webhook,
        once=once,
        poll_seconds=poll,
        longest_seconds=longest,
        announce=warn,
        on_alarm=lambda row: say(
            f"ALARM {row.time} {row.machine}: {row.file}, score {row.score:.2f}, p-value {row.p_value:.4f}"
        ),
    )
    unsent = f", {counts.n_unsent} alarm(s) not sent yet" if counts.n_unsent else ""
    waiting = f", {counts.n_waiting} not whole yet" if counts.n_waiting else ""
    say(f"{counts.n_scored} recordings scored, {counts.n_alarms} alarm(s), {counts.n_failed} failed{waiting}{unsent}")
    return 1 if once and (counts.n_failed or counts.n_waiting or counts.n_unsent) else 0


@app.command()
@command
def export(
    detector: Annotated[Path, typer.Argument(help="A detector (.soundness), or a run's folder.", show_default=False)],
    *,
    out: Annotated[Path, typer.Option(help="Folder for MACHINE.onnx and MACHINE.json.")],
    check: Annotated[
        list[Path] | None,
        typer.Option(
            help="Recordings, or a folder of them, on which export and detector must agree; may be repeated.",
            show_default="sounds that are made",
        ),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Write a detector as one ONNX graph, from waveform to p-value, that runs without PyTorch and says the same."""
    with progress_bars(is_quiet=quiet) as bars:
        exports = soundness.export(detector, out, check=check or (), overwrite=overwrite, progress=bars)
    for each in exports:
        show_lines("to know", each.notes)
        say(
            f"{each.graph}: {each.n_bytes / 1e6:.1f} MB; agrees on {each.n_sounds} sounds and {each.n_clips} "
            f"recordings, scores within {each.largest_difference:.1g}"
        )
    say(f"next: soundness score {out} CLIPS --runtime onnx --out SCORES")
    return 0


@app.command()
@command
def report(
    run: Annotated[
        Path,
        typer.Argument(help="Folder of a training or of a benchmark.", show_default=False, metavar="RUN_OR_BENCH"),
    ],
    *,
    out: Annotated[Path, typer.Option(help="The page, a file that ends in .html; one that is there is replaced.")],
    scores: Annotated[
        Path | None, typer.Option(help="Folder of the run's scores.", show_default="none; a benchmark has its own")
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="A labelled data set, or the official evaluator's truth.",
            show_default="the clips' names, or the benchmark's data",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Where the recordings lie, to listen to.", show_default="TRUTH, or the benchmark's data"),
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Write one page on a training or a benchmark: figures, pictures and sounds in a single file."""
    with progress_bars(is_quiet=quiet) as bars:
        written = soundness.report(run, out, scores=scores, truth=truth, data=data, progress=bars)
    show_lines("to know", written.notes)
    say(f"{written.path}: {written.n_bytes / 1e6:.1f} MB, {written.n_sounds} recordings to listen to")
    return 0


@app.command()
@command
def explain(
    detector: Annotated[Path, typer.Argument(help="A detector (.soundness), or a run's folder.", show_default=False)],
    clip: Annotated[Path, typer.Argument(help="One recording.", show_default=False)],
    *,
    out: Annotated[
        Path, typer.Option(help="Folder of page and picture; those of a clip of the same name are replaced.")
    ],
    normal: Annotated[
        Path | None,
        typer.Option(
            help="Folder that the normal recordings lie in, or below, to hear the nearest.",
            show_default="beside the clip",
        ),
    ] = None,
    machine: Annotated[
        str | None, typer.Option(help="Whose detector is asked.", show_default="the only one there is")
    ] = None,
) -> int:
    """Tell why a recording has its score: a page and a picture of what is odd in it, where and when."""
    explained = soundness.explain(detector, clip, out, normal=normal, machine=machine)
    say(f"{explained.verdict}.")
    for sentence in explained.sentences:
        say(sentence)
    show_lines("to know", explained.notes)
    say(f"{explained.page} and {explained.picture.name}")
    return 0


@app.command()
@command
def enroll(
    detector: OneDetector,
    clips: Annotated[
        list[Path], typer.Argument(help="Normal recordings of the new condition, or folders.", show_default=False)
    ],
    *,
    condition: Annotated[str, typer.Option(help="What is new about them, in a word: car_2, microphone-left.")],
    out: Annotated[Path, typer.Option(help="File of the new detector.")],
    domain: Annotated[
        str | None,
        typer.Option(help="Where they join, such as target.", show_default="a domain of their own, named as CONDITION"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Enrol clips that are highly anomalous, too.")] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Let normal clips of a new product or microphone join a detector, in seconds and without training."""
    with progress_bars(is_quiet=quiet) as bars:
        enrolment = soundness.enroll(
            detector,
            clips,
            out,
            condition=condition,
            domain=domain,
            force=force,
            overwrite=overwrite,
            progress=functools.partial(bars, "hearing"),
        )
    rows = [("clip", "to know", "score before", "p-value before", "score beside the others")]
    rows += [
        (clip.path.name, clip.danger, f"{clip.score:.3f}", f"{clip.p_value:.4f}", f"{clip.score_beside:.3f}")
        for clip in enrolment.clips
    ]
    show_table(f"{condition}, enrolled as {enrolment.domain}", rows, n_left=2)
    enrolled = enrolment.detector
    calibrated_notes = [] if enrolled.calibration is None else enrolled.calibration.notes
    show_lines("to know", [*enrolment.notes, *calibrated_notes, *enrolled.threshold.notes])
    say(f"threshold {enrolled.threshold.value:.3f}; detector with {len(enrolment.clips)} more clips in {out}")
    return 0


@app.command()
@command
def drift(
    detector: OneDetector,
    clips: Annotated[list[Path], typer.Argument(help="Normal recordings of now, or folders.", show_default=False)],
    *,
    seed: Annotated[int, typer.Option(help="Of the draws that tell what chance makes.", min=0)] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write all figures to this file.", metavar="FILE", show_default=False)
    ] = None,
    quiet: Quiet = False,
) -> int:
    """Tell whether normality itself has moved, how, and what to do; exit status 0 whatever the answer."""
    with progress_bars(is_quiet=quiet) as bars:
        found = soundness.drift(detector, clips, seed=seed, progress=functools.partial(bars, "hearing"))
    if json_file is not None:
        write_json(json_file, json.dumps(found.as_json(), indent=2))
    tests = [("test", "p-value"), *((name, f"{p_value:.4f}") for name, p_value in found.drift.tests.items())]
    show_table(f"{found.n_clips} clips against the {found.drift.domain or 'normal'} clips of the training", tests)
    show_lines("to know", found.notes)
    say(f"{found.drift.answer} (p-value of all tests together {found.drift.p_value:.4f}): {found.finding}")
    say(f"what to do: {found.recommendation}")
    return 0
