"""Training clips that lack attributes, and the pseudo-labels that take their place."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from soundness.audio.log_mel import Spectrograms
from soundness.data.clips import Clip
from soundness.data.datasets import Machine
from soundness.detectors.front_end import FrontEnd
from soundness.detectors.reader import RecordingReader
from soundness.errors import DataError
from soundness.representations.protocol import MachineSpectrograms, network_plan
from soundness.settings.system import SystemSettings
from soundness.training.preparation.clips import check_training_clips, read_machine
from soundness.training.pseudo_labels import PseudoLabels, by_classifier, by_clusters

__all__ = ["Labeller", "band_moments", "lacking_attributes", "spectral_shapes"]

Way = Literal["clusters", "classifier"]


class Labeller:
    """Labels the training clips of a data set that lack attributes, for a network that is conditioned on them.

    Parameters
    ----------
    machines
        Machines of the whole data set: a classifier learns from any that has attributes.
    settings
        Settings of the system; ``separation`` is no longer ``auto``.
    seed
        Random seed.
    """

    def __init__(self, machines: Iterable[Machine], settings: SystemSettings, *, seed: int) -> None:
        self.machines = {machine.machine_type: machine for machine in machines}
        self.settings = settings
        self.seed = seed
        plan = network_plan(settings)
        self._has_conditions = plan is not None and plan.is_conditional
        self._vectors: dict[str, NDArray[np.float64]] = {}  # of the clips of each machine that was read

    def teachers(self, machines: Iterable[Machine]) -> tuple[Clip, ...]:
        """Clips of other machines that a classifier learns from, for the machines that need one.

        Raises
        ------
        DataError
            If no other machine has attributes, or a clip that is needed cannot be used.
        """
        needed = {name: self.machines[name] for machine in machines for name in self._teachers(machine)}
        for machine in needed.values():
            check_training_clips(machine, self.settings)
        return tuple(clip for machine in needed.values() for clip in machine.train if clip.attributes)

    def labelled(
        self,
        machines: Sequence[MachineSpectrograms],
        reader: RecordingReader,
        *,
        advance: Callable[[Machine], Callable[[], None]],
    ) -> list[MachineSpectrograms]:
        """The same clips, with pseudo-labels in place of missing attributes.

        Parameters
        ----------
        machines
            Machines that are trained together.
        reader
            Reader that their clips were read with.
        advance
            Called for another machine that has to be read; its result is called after each of the machine's clips.
        """
        for one in machines:  # without copies and clips that were set aside
            self.machines[one.machine_type] = replace(self.machines[one.machine_type], clips=one.clips)
        if any(self._way(one.clips) == "classifier" for one in machines):
            self._vectors.update({one.machine_type: band_moments(one.spectrograms) for one in machines})
            if self.settings.separation != "denoise":  # the network's input is the recording
                reader = RecordingReader(FrontEnd(self.settings), reader.cache)
            missing = {name for one in machines for name in self._teachers(self.machines[one.machine_type])}
            for name in sorted(missing - self._vectors.keys()):
                others = read_machine(self.machines[name], reader, advance=advance(self.machines[name]))
                self._vectors[name] = band_moments(others.spectrograms)
        return [self._with_labels(one) for one in machines]

    def _way(self, clips: Sequence[Clip]) -> Way | None:
        """Method that labels a machine's clips; ``None`` where they need none."""
        chosen, lacking = self.settings.pseudo_labels, lacking_attributes(clips)
        if not self._has_conditions or chosen == "off" or not lacking:
            return None
        if chosen == "auto":
            return "clusters" if len(lacking) == len(clips) else "classifier"
        return chosen

    def _teachers(self, machine: Machine) -> list[str]:
        """Names of the other machines that a machine's classifier learns from."""
        clips = machine.train
        if self._way(clips) != "classifier" or len(lacking_attributes(clips)) < len(clips):
            return []
        names = [
            name
            for name, other in self.machines.items()
            if name != machine.machine_type and any(clip.attributes for clip in other.train)
        ]
        if not names:
            raise DataError(
                f"{machine.root}: pseudo_labels=classifier needs another machine whose clips have attributes, "
                f"to label those of {machine.machine_type}; the data set has none; pseudo_labels=clusters needs none"
            )
        return names

    def _with_labels(self, machine: MachineSpectrograms) -> MachineSpectrograms:
        way, lacking = self._way(machine.clips), lacking_attributes(machine.clips)
        if way is None:
            return machine
        found = self._by_clusters(machine, lacking) if way == "clusters" else self._by_classifier(machine, lacking)
        conditions = list(machine.conditions)
        for index, label in zip(lacking, found.labels, strict=True):
            conditions[index] = replace(conditions[index], attributes=label)
        pseudo_labelled = tuple(index for index, label in zip(lacking, found.labels, strict=True) if label)
        sizes = Counter(str(conditions[index]) for index in pseudo_labelled)
        shown = ", ".join(f"{label} {count}" for label, count in sorted(sizes.items())) or "no labels"
        note = f"pseudo-labels by {way} for {len(lacking)} of {len(conditions)} clips: {shown} ({found.reason})"
        notes = (*machine.notes, note)
        return replace(machine, conditions=tuple(conditions), pseudo_labelled=pseudo_labelled, notes=notes)

    def _by_clusters(self, machine: MachineSpectrograms, lacking: Sequence[int]) -> PseudoLabels:
        shapes = spectral_shapes(machine.spectrograms[index] for index in lacking)
        return by_clusters(shapes, _domains(machine, lacking), seed=self.seed)

    def _by_classifier(self, clips: MachineSpectrograms, lacking: Sequence[int]) -> PseudoLabels:
        machine = self.machines[clips.machine_type]
        names = self._teachers(machine)
        own = self._vectors[machine.machine_type]
        known, classes = self._known(names) if names else self._known([machine.machine_type])
        return by_classifier(
            own[list(lacking)],
            _domains(clips, lacking),
            known=known,
            classes=classes if names else [name.removeprefix(f"{machine.machine_type} ") for name in classes],
        )

    def _known(self, names: Sequence[str]) -> tuple[NDArray[np.float64], list[str]]:
        """Vectors and classes of the clips of these machines that have attributes."""
        rows, classes = [], []
        for name in names:
            for clip, vector in zip(self.machines[name].train, self._vectors[name], strict=True):
                if clip.attributes:
                    rows.append(vector)
                    classes.append(f"{name} {clip.attributes}")
        return np.stack(rows), classes


def lacking_attributes(clips: Sequence[Clip]) -> list[int]:
    """Indices of clips that need a pseudo-label: those without attributes, unless there are several sections."""
    if len({clip.section for clip in clips}) > 1:
        return []
    return [index for index, clip in enumerate(clips) if not clip.attributes]


def spectral_shapes(spectrograms: Iterable[Spectrograms]) -> NDArray[np.float64]:
    """Mean log-mel of what a network reads, dB above the mean of its bands, shape ``(clip, mel)``."""
    means = np.stack([clip.input.mean(axis=-1, dtype=np.float64) for clip in spectrograms])
    shapes: NDArray[np.float64] = means - means.mean(axis=1, keepdims=True)
    return shapes


def band_moments(spectrograms: Iterable[Spectrograms]) -> NDArray[np.float64]:
    """Mean and deviation of each band over time, dB, of what a network reads, shape ``(clip, 2 * mel)``."""
    log_mels = [clip.input.astype(np.float64) for clip in spectrograms]
    return np.stack([np.concatenate([own.mean(axis=-1), own.std(axis=-1)]) for own in log_mels])


def _domains(machine: MachineSpectrograms, indices: Iterable[int]) -> list[str]:
    return [machine.clips[index].domain or "" for index in indices]
