"""`soundness systems` lists what there is, and no help text lists it again."""

from typer.testing import CliRunner

from soundness.cli import app
from soundness.settings.loading import system_descriptions

RUNNER = CliRunner()


def test_each_system_is_listed_with_one_line() -> None:
    result = RUNNER.invoke(app, ["systems"])
    assert result.exit_code == 0
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in result.stdout.splitlines() if "│" in line]
    assert dict(rows) == system_descriptions()


def test_the_help_of_train_leads_to_the_list() -> None:
    text = RUNNER.invoke(app, ["train", "--help"], env={"COLUMNS": "200"}).stdout
    assert "soundness systems" in text
    assert "log-mel-quantile" not in text
