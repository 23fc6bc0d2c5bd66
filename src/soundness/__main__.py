"""The command line as ``python -m soundness``."""

from soundness.cli import main

main()
