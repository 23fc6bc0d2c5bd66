"""Commands on detectors in use."""

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import soundness
from soundness.cli.console import ProgressBars, say, say_watching, show_lines, show_table
from soundness.cli.options import GroupBy, JsonFile, Keep, OneDetector, Overwrite, Pattern, Quiet, Seed, Since
from soundness.files.atomic import write_whole

if TYPE_CHECKING:  # of an extra
    from soundness.monitoring.watching.log import LogRow

__all__ = ["alarms", "calibrate", "drift", "enroll", "watch"]


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
            show_default="read from their names; all calibration is replaced",
        ),
    ] = None,
    group_by: GroupBy = None,
    pattern: Pattern = None,
    since: Since = None,
    keep: Keep = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Calibrate p-values and threshold with new normal clips; valid as long as normal sounds stay like these."""
    with ProgressBars(is_quiet=quiet) as bars:
        calibrated = soundness.calibrate(
            detector,
            soundness.Selection(clips, pattern=pattern, since=since, keep=keep or ()),
            out,
            domain=domain,
            group_by=group_by,
            overwrite=overwrite,
            progress=functools.partial(bars, "scoring"),
        )
    if calibrated.calibration is not None:
        show_lines("notes", [*calibrated.calibration.notes, *calibrated.threshold.notes])
    say(f"threshold {calibrated.threshold.value:.3f}; calibrated detector in {out}")
    return 0


def alarms(
    detector: OneDetector,
    *,
    false_alarms: Annotated[str, typer.Option(help="Acceptable rate of false alarms: 1/day, 2/week, 0.5/h.")],
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
    seed: Seed = 0,
    pattern: Pattern = None,
    since: Since = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Propose a rule for alarms that keeps to a rate of false alarms."""
    from soundness.cli.tables import show_proposal
    from soundness.monitoring.alarm_rules import AlarmRequest

    with ProgressBars(is_quiet=quiet) as bars:
        proposal = soundness.alarms(
            detector,
            AlarmRequest(false_alarms=false_alarms, clip_every=clip_every, longest=longest),
            recordings=soundness.Selection(recording or (), pattern=pattern, since=since),
            out=out,
            overwrite=overwrite,
            seed=seed,
            progress=functools.partial(bars, "replaying"),
        )
    show_proposal(proposal)
    if out is not None:
        say(f"detector with this rule in {out}")
    return 0


def watch(
    folder: Annotated[Path, typer.Argument(help="Folder in or below which recordings appear.", show_default=False)],
    *,
    detector: Annotated[
        Path, typer.Option(help="A detector with an alarm rule (.soundness, or an export), or a run's folder.")
    ],
    log: Annotated[
        Path | None, typer.Option(help="Log file that ends in .csv or .sqlite.", show_default="alarms.csv in FOLDER")
    ] = None,
    webhook: Annotated[
        str | None, typer.Option(help="Address that alarms are posted to, as JSON.", metavar="URL", show_default=False)
    ] = None,
    pattern: Pattern = None,
    since: Since = None,
    once: Annotated[bool, typer.Option("--once", help="Score the recordings that are there, and stop.")] = False,
    poll: Annotated[float, typer.Option(help="Seconds between two looks at the folder.")] = 2.0,
    longest: Annotated[float, typer.Option(help="Longest part of a recording that is scored, in seconds.")] = 86_400.0,
) -> int:
    """Score recordings as they appear in a folder, and raise alarms; the log keeps what was scored."""

    def say_alarm(row: "LogRow") -> None:
        found = f"{row.file}, score {row.score:.2f}, p-value {row.p_value:.4f}; {row.message}"
        say_watching(f"ALARM {row.time} {row.machine}: {found}")

    counts = soundness.watch(
        soundness.Selection(folder, pattern=pattern, since=since),
        detector=detector,
        log=log,
        webhook=webhook,
        once=once,
        poll_seconds=poll,
        longest_seconds=longest,
        on_alarm=say_alarm,
    )
    unsent = f", {counts.n_unsent} alarm(s) not sent yet" if counts.n_unsent else ""
    waiting = f", {counts.n_waiting} not whole yet" if counts.n_waiting else ""
    closed = f", {counts.n_closed} folder(s) not read" if counts.n_closed else ""
    done = f"{counts.n_scored} recordings scored, {counts.n_alarms} alarm(s), {counts.n_failed} failed"
    say_watching(f"{done}{closed}{waiting}{unsent}")
    is_undone = counts.n_failed or counts.n_waiting or counts.n_unsent or counts.n_closed
    return 1 if once and is_undone else 0


def enroll(
    detector: OneDetector,
    clips: Annotated[
        list[Path], typer.Argument(help="Normal recordings of the new condition, or folders.", show_default=False)
    ],
    *,
    condition: Annotated[str, typer.Option(help="Name of the new condition: car_2, microphone-left.")],
    out: Annotated[Path, typer.Option(help="File of the new detector.")],
    domain: Annotated[
        str | None,
        typer.Option(help="Domain to add them to, such as target.", show_default="a new one, named CONDITION"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Enrol clips that are highly anomalous, too.")] = False,
    pattern: Pattern = None,
    since: Since = None,
    keep: Keep = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> int:
    """Add normal clips of a new product or microphone to a detector, in seconds and without training."""
    with ProgressBars(is_quiet=quiet) as bars:
        enrolment = soundness.enroll(
            detector,
            soundness.Selection(clips, pattern=pattern, since=since, keep=keep or ()),
            out,
            condition=condition,
            domain=domain,
            force=force,
            overwrite=overwrite,
            progress=functools.partial(bars, "reading"),
        )
    rows = [("clip", "notes", "score before", "p-value before", "score beside the others")]
    rows += [
        (clip.path.name, clip.danger, f"{clip.score:.3f}", f"{clip.p_value:.4f}", f"{clip.score_beside:.3f}")
        for clip in enrolment.clips
    ]
    show_table(f"{condition}, enrolled as {enrolment.domain}", rows, n_left=2)
    enrolled = enrolment.detector
    calibrated_notes = [] if enrolled.calibration is None else enrolled.calibration.notes
    show_lines("notes", [*enrolment.notes, *calibrated_notes, *enrolled.threshold.notes])
    say(f"threshold {enrolled.threshold.value:.3f}; detector with {len(enrolment.clips)} more clips in {out}")
    return 0


def drift(
    detector: OneDetector,
    clips: Annotated[list[Path], typer.Argument(help="Current normal recordings, or folders.", show_default=False)],
    *,
    pattern: Pattern = None,
    since: Since = None,
    seed: Seed = 0,
    json_file: JsonFile = None,
    quiet: Quiet = False,
) -> int:
    """Test whether normal sound has changed since the training, and how; exit status 0 whatever the result."""
    with ProgressBars(is_quiet=quiet) as bars:
        found = soundness.drift(
            detector,
            soundness.Selection(clips, pattern=pattern, since=since),
            seed=seed,
            progress=functools.partial(bars, "reading"),
        )
    if json_file is not None:
        write_whole(json_file, json.dumps(found.as_json(), indent=2) + "\n")
    tests = [("test", "p-value"), *((name, f"{p_value:.4f}") for name, p_value in found.drift.tests.items())]
    show_table(f"{found.n_clips} clips against the {found.drift.domain or 'normal'} clips of the training", tests)
    show_lines("notes", found.notes)
    say(f"{found.drift.answer} (p-value of all tests together {found.drift.p_value:.4f}): {found.finding}")
    say(f"what to do: {found.recommendation}")
    return 0
