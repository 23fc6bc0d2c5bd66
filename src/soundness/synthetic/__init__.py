"""Synthetic sounds of seven machine types in the layout of DCASE 2025, for demonstrations and comparisons."""

from soundness.synthetic.machines import MACHINES
from soundness.synthetic.make import FactoryResult, make_data
from soundness.synthetic.settings import FactorySettings

__all__ = ["MACHINES", "FactoryResult", "FactorySettings", "make_data"]
