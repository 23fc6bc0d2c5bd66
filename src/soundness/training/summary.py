"""Record of a training: counts, conditions, losses, times and notes."""

from collections import Counter
from collections.abc import Iterator, Mapping

from soundness.detectors.training_summary import TrainingSummary
from soundness.files.run_folders import package_versions
from soundness.plain_text import printable
from soundness.representations.protocol import Fitted, MachineSpectrograms
from soundness.settings.system import SystemSettings

__all__ = ["domain_names", "summarize", "training_notes"]


def domain_names(clips: MachineSpectrograms) -> list[str]:
    """Domains of a machine's training clips, sorted; ``""`` where there are none."""
    return sorted({clip.domain or "" for clip in clips.clips})


def summarize(
    clips: MachineSpectrograms,
    fitted: Fitted,
    *,
    settings: SystemSettings,
    seed: int,
    seconds: Mapping[str, float],
    notes: tuple[str, ...],
) -> TrainingSummary:
    """Summarize the training of one machine, without a separator.

    Parameters
    ----------
    clips
        Training clips.
    fitted
        Fitted representation.
    settings
        Settings of the system.
    seed
        Random seed of the training.
    seconds, notes
        See `TrainingSummary`.
    """
    network = fitted.network
    domains: list[str] = [clip.domain or "" for clip in clips.clips]
    labels = Counter(str(clips.conditions[index]) for index in clips.pseudo_labelled)
    return TrainingSummary(
        system=settings.name,
        seed=seed,
        n_clips={domain: domains.count(domain) for domain in domain_names(clips)},
        conditions=tuple(str(condition) for condition in fitted.conditions),
        conditioned_on=fitted.encoder.conditioned_on if fitted.encoder is not None else (),
        n_parameters=0 if network is None else network.n_parameters,
        n_steps=0 if network is None else network.n_steps,
        train_loss=None if network is None else network.train_loss,
        held_out_loss=None if network is None else network.held_out_loss,
        pseudo_labels=dict(sorted(labels.items())),
        separation=settings.separation,
        separator_seconds=None,
        seconds=dict(seconds),
        notes=tuple(map(printable, notes)),
        versions=package_versions(),
    )


def training_notes(clips: MachineSpectrograms, fitted: Fitted) -> Iterator[str]:
    """Notes on clips, domains, conditions and network."""
    yield from clips.notes
    domains = domain_names(clips)
    if domains == ["source"]:
        yield "no target-domain clips: what is normal there is judged by the source domain alone"
    if domains == ["target"]:
        yield "no source-domain clips: what is normal there is judged by the target domain alone"
    if domains == [""]:
        yield "no domains: all clips are taken as one"
    if fitted.network is not None and fitted.encoder is not None:
        if not fitted.encoder.conditioned_on:
            yield "all clips have the same condition: the network is not conditioned"
        elif not any(condition.attributes for condition in fitted.conditions):
            names = [name.replace("_", " ") for name in fitted.encoder.conditioned_on if name != "attributes"]
            yield f"no attributes: the network is conditioned on the {' and '.join(names) or 'section'} only"
    yield from fitted.notes
