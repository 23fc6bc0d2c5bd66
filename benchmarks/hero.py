"""Picture of the README: an anomalous recording of a synthetic fan, explained by the default system.

`make hero` runs it; the same version gives the same picture, and prints what is to be seen in it.
"""

import argparse
import os
import shutil
import tempfile
from datetime import datetime
from pathlib import Path

import soundness

FAULT = "whistle"
MACHINE = "fan"
TIME = datetime(2026, 1, 5, 8)


def main() -> None:
    """Make sounds, train the default system, and explain the most anomalous clip with the fault."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "hero.png")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        made = soundness.make_data(
            root / "data", machines=(MACHINE,), n_train=40, n_target_train=10, n_supplemental=2, n_test_normal=2
        )
        soundness.train(made.root, root / "run")
        rows = (made.truth / MACHINE / "anomalies.csv").read_text(encoding="utf-8").splitlines()[1:]
        faulty = [made.root / MACHINE / "test" / row.split(",")[0] for row in rows if row.split(",")[1] == FAULT]
        report = soundness.score(root / "run", faulty)
        worst = report.machines[0].worst[0]
        clip = root / "monday_0800.wav"
        shutil.copyfile(worst.path, clip)
        os.utime(clip, (TIME.timestamp(), TIME.timestamp()))
        explained = soundness.explain(root / "run", clip, root / "why", normal=made.root)
        shutil.copyfile(explained.picture, out)
    print(f"{out}: {explained.score.verdict.upper()}, {clip.name}")
    print("\n".join(explained.sentences))


if __name__ == "__main__":
    main()
