"""The commands of the challenge: systems by name, benchmarks, submissions, data."""

import soundness
from soundness.cli.application import app, command
from soundness.cli.console import show_table

__all__: list[str] = []


@app.command()
@command
def systems() -> int:
    """List the systems that come with soundness, each with one line on what it is.

    `soundness train DATA --out RUN --system NAME` trains one. `--set KEY=VALUE` changes any of its settings, and a
    settings file of your own (.toml) takes the place of a name.
    """
    show_table("systems", [("system", "what it is"), *soundness.system_descriptions().items()], n_left=2)
    return 0
