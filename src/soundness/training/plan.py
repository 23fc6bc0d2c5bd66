"""Plan of a training: its settings, which must go together, and results that it shares with others."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from soundness.audio.log_mel_cache import LogMelCache
from soundness.errors import SettingsError
from soundness.representations.protocol import REPRESENTATIONS, network_plan
from soundness.scoring.scorers import find_scorer
from soundness.settings.system import SystemSettings

if TYPE_CHECKING:  # loads PyTorch
    from soundness.representations.network_cache import NetworkCache

__all__ = ["Caches", "TrainingPlan", "check_parts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """Description of a training; the fields are parameters of `train`."""

    settings: SystemSettings
    separator: Path | None = None
    machines: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Caches:
    """Results kept on disk between the systems of a benchmark; ``None`` to keep none."""

    log_mels: LogMelCache | None = None
    networks: "NetworkCache | None" = None


def check_parts(settings: SystemSettings) -> None:
    """Refuse settings whose representation, scorer and scope do not go together.

    Raises
    ------
    SettingsError
        If they do not, or a part is not known.
    """
    plan = network_plan(settings)
    find_scorer(settings.scorer.name)
    if settings.scope == "shared" and plan is None:
        raise SettingsError("scope is 'shared', but there is no network to share")
    has_covariances = settings.representation not in REPRESENTATIONS or (
        plan is not None and plan.has_frame_covariances
    )
    if settings.scorer.name == "mahalanobis" and not has_covariances:
        raise SettingsError(
            "scorer.name: 'mahalanobis' needs the covariance of single frames, which goes with "
            'representation=reconstruction-error, autoencoder.error=signed and poolings=["mean"]'
        )
    if plan is not None:
        plan.check()
