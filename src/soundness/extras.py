"""Packages of an optional extra: are they installed?"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from soundness.errors import MissingExtraError

if TYPE_CHECKING:  # each verb loads what it needs, and no more
    pass

__all__ = ["check_extra"]

_TRAIN_PACKAGES = ("torch", "safetensors", "pytorch_lightning", "matplotlib", "yaml", "jinja2")


def check_extra() -> None:
    """Make sure that the extra ``train`` is installed, which all that listens to sound with a detector needs.

    Raises
    ------
    MissingExtraError
        If one of its packages is not.
    """
    for package in _TRAIN_PACKAGES:
        try:
            found = find_spec(package)
        except ValueError:  # a module that was put aside, and has no spec
            found = None
        if found is None:
            raise MissingExtraError(f"this needs the package {package}: pip install 'soundness[train]'")
