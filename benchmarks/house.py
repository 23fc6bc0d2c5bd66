"""The limits of the code's layout, speed against an earlier installation, and the wheel alone in an empty environment.

SOUNDNESS_DATA=... python benchmarks/house.py OLD_VENV NEW_VENV [--only limits,start,speed,wheel]

Prints what was promised and measured. Ratios are of medians of runs that alternate between the two installations, on an
otherwise idle machine. Exit status 1 if a promise is not kept.
"""

import argparse
import ast
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from promises import Row, show

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "soundness"
N_RUNS = 5
RIDDLE = re.compile(r"(What|How|Whether|Which|Of|As|Is last_line|Where|Who|Tells?)\b")


def main() -> int:
    """Measure the chosen sections and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--only", default="limits,start,speed,wheel")
    options = parser.parse_args()
    old, new = (venv.absolute() / "bin" / "soundness" for venv in (options.old, options.new))
    sections = {
        "limits": limits,
        "start": lambda: start(new),
        "speed": lambda: speed(old, new),
        "wheel": lambda: wheel(new),
    }
    return show([row for name in options.only.split(",") for row in sections[name]()], Console(width=140))


def limits() -> Iterator[Row]:
    """Limits of folders, modules, functions and docstrings."""
    trees = {
        path: ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(SOURCE.rglob("*.py"))
        if "migrations" not in path.parts
    }
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in trees}
    functions = {
        f"{path.relative_to(SOURCE)}: {node.name}": node
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    folders = Counter(path.parent.name for path in trees if path.name != "__init__.py")
    del folders["synthetic"]
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = len(contract["contracts"][0]["layers"])
    yield Row("layers", "<= 12", str(layers), layers <= 12)  # two more than planned: screening, service
    yield _largest("modules of a folder", 12, folders)
    yield _largest("lines of a module", 400, {str(path.relative_to(SOURCE)): count for path, count in lines.items()})
    yield _largest("lines of a body", 40, {name: _body(node) for name, node in functions.items()})
    yield _largest(
        "arguments of a function outside the command line",
        8,
        {name: _n_arguments(node) for name, node in functions.items() if not name.startswith("cli/")},
    )
    documented = [
        node
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module)
    ]
    riddles = sum(RIDDLE.match(ast.get_docstring(node) or "") is not None for node in documented)
    yield Row("docstrings that begin with What, How, Of ...", "0", str(riddles), riddles == 0)


def _largest(what: str, most: int, sizes: dict[str, int]) -> Row:
    name, size = max(sizes.items(), key=lambda item: item[1])
    return Row(what, f"<= {most}", f"{size} ({name})", size <= most)


def _body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    is_documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return (node.end_lineno or 0) - ((first.end_lineno or 0) if is_documented else node.lineno)


def _n_arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    starred = [each for each in (node.args.vararg, node.args.kwarg) if each is not None]
    return len([each for each in named if each.arg not in ("self", "cls")]) + len(starred)


def start(new: Path) -> Iterator[Row]:
    """Median time of an import and of the help text."""
    for what, promised, command in (
        ("import soundness", 0.2, [str(new.with_name("python")), "-c", "import soundness"]),
        ("soundness --help", 0.7, [str(new), "--help"]),
    ):
        seconds = statistics.median(timed(command) for _ in range(N_RUNS))
        yield Row(what, f"< {promised} s", f"{seconds:.2f} s", seconds < promised)


def speed(old: Path, new: Path) -> Iterator[Row]:
    """Time of training and scoring against the earlier installation."""
    data = Path(os.environ["SOUNDNESS_DATA"]) / "toycar"
    with tempfile.TemporaryDirectory() as folder:
        for system, setting in (("soundness", "quantile=0.3"), ("conditional", "training.max_steps=60")):
            times: dict[str, list[float]] = {}
            for index in range(N_RUNS):
                for name, command in (("old", old), ("new", new)):
                    run = Path(folder) / f"{name}-{system}-{index}"
                    trained = [command, "train", data, "--out", run, "--system", system, "--set", setting, "-q"]
                    scored = [command, "score", run, data, "--out", f"{run}-scores", "-q"]
                    for what, words in (("training", trained), ("scoring", scored)):
                        times.setdefault(f"{what} {name}", []).append(timed([str(word) for word in words]))
            for what in ("training", "scoring"):
                before, after = (statistics.median(times[f"{what} {name}"]) for name in ("old", "new"))
                ratio = after / before
                yield Row(
                    f"{what} with {system}: new / old",
                    "<= 1.05",
                    f"{ratio:.2f} ({after:.2f} s / {before:.2f} s)",
                    ratio <= 1.05,
                )


def wheel(new: Path) -> Iterator[Row]:
    """Commands of the wheel, installed alone into an empty environment."""
    data = Path(os.environ["SOUNDNESS_DATA"]) / "mimii_fan"
    clip = next((data / "abnormal").glob("*.wav"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = folder / "venv" / "bin" / "python"
        subprocess.run(
            [new.with_name("python"), "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT], check=True
        )
        (built,) = folder.glob("*.whl")
        subprocess.run([new.with_name("python"), "-m", "venv", folder / "venv"], check=True)
        requirement = f"{built}[train]"
        constraints = ROOT / "constraints.txt"
        subprocess.run([python, "-m", "pip", "install", "-q", "-c", constraints, requirement], check=True)
        for words in (
            ["systems"],
            ["train", data / "normal", "--out", "run", "-q"],
            ["score", "run", clip, "--out", "scores", "-q"],
            ["report", "run", "--scores", "scores", "--out", "report.html"],
            ["explain", "run", clip, "--out", "why"],
        ):
            command = [str(word) for word in [python.with_name("soundness"), *words]]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            last_line = done.stderr.strip().splitlines()[-1:] or ["done"]
            yield Row(f"wheel: soundness {words[0]}", "works", last_line[0][:60], done.returncode == 0)


def timed(command: list[str]) -> float:
    """Wall-clock seconds of a command that succeeds."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
