"""The commands of the challenge: systems by name, benchmarks, submissions, data."""

from pathlib import Path
from typing import Annotated

import typer

import soundness
from soundness.cli.application import Overwrite, app, command
from soundness.cli.console import say, show_lines

__all__: list[str] = []


@app.command()
@command
def submission(
    scores: Annotated[
        Path, typer.Argument(help="Folder of score files with decisions, of the evaluation data.", show_default=False)
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the submission; task2/TEAM_task2_INDEX is made in it.")],
    team: Annotated[
        str, typer.Option(help="Last name of the corresponding author and abbreviation of the institute: Doe_UXY.")
    ],
    index: Annotated[int, typer.Option(help="Of the team's systems, 1 to 4.", min=1, max=4)] = 1,
    name: Annotated[str | None, typer.Option(help="Of the system.", show_default="the run's system")] = None,
    abbreviation: Annotated[
        str | None, typer.Option(help="Of the name, at most ten characters.", show_default="its beginning")
    ] = None,
    author: Annotated[
        list[str] | None,
        typer.Option(
            help="'Lastname, Firstname; e-mail; institution; department; location'; may be repeated, the corresponding "
            "author first.",
            show_default=False,
        ),
    ] = None,
    source_code: Annotated[str | None, typer.Option(help="Where it is published.", show_default=False)] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="The run that made the scores, whose parameters and multiply-accumulates are counted.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Length of the clip whose multiply-accumulates are counted.")] = 10.0,
    development: Annotated[
        Path | None,
        typer.Option(help="Folder of scores of the development set.", show_default="SCORES, where names tell labels"),
    ] = None,
    overwrite: Overwrite = False,
) -> int:
    """Write the challenge's package of a system: score files, and a description of the system."""
    package = soundness.submission(
        scores,
        out,
        team=team,
        index=index,
        name=name,
        abbreviation=abbreviation,
        authors=author or (),
        source_code=source_code,
        run=run,
        seconds=seconds,
        development=development,
        overwrite=overwrite,
    )
    complexity = package.meta.system.complexity
    if complexity.total_parameters is not None and complexity.MACS is not None:
        counted = f"{complexity.total_parameters:,} parameters, {complexity.MACS:,} multiply-accumulates"
        say(f"{counted} for a clip of {seconds:g} s")
    say(f"{len(package.n_clips)} machines, {sum(package.n_clips.values()):,} clips in {package.folder}")
    show_lines("to know", package.notes)
    return 0
