"""Further views of a clip that are of its details, by name."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from soundness.audio.log_mel import Spectrograms
from soundness.representations.views.modulation import ModulationView
from soundness.representations.views.tones import ToneView
from soundness.settings.fields import ViewName
from soundness.settings.system import SystemSettings

__all__ = ["VIEWS", "ClipView", "detailed_views"]


class ClipView(Protocol):
    """View of a clip whose size depends on the settings alone."""

    @property
    def size(self) -> int:
        """Number of features."""

    def features(self, clip: Spectrograms) -> NDArray[np.floating]:
        """Features of a clip, shape ``(size,)``; NaN where the clip does not tell."""


VIEWS: dict[ViewName, Callable[[SystemSettings], ClipView]] = {
    "modulation": ModulationView,
    "tones": ToneView,
}
"""By their names in the settings."""


def detailed_views(settings: SystemSettings) -> dict[ViewName, ClipView]:
    """Views of a system that are of details, by name."""
    return {name: VIEWS[name](settings) for name in settings.views if name in VIEWS}
