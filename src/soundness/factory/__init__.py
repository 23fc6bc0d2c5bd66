"""Synthetic sounds of seven machine types in the layout of DCASE 2025, for demonstrations and comparisons."""

from soundness.factory.machines import MACHINES
from soundness.factory.make import FactoryResult, make_data
from soundness.factory.settings import FactorySettings

__all__ = ["MACHINES", "FactoryResult", "FactorySettings", "make_data"]
