"""A separator as operators of a graph."""

from soundness.exporting.graphs import Value
from soundness.separation.separator import Separator

__all__ = ["separated"]


def separated(separator: Separator, waveform: Value) -> Value:
    """TODO"""
    raise NotImplementedError
