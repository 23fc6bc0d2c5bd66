"""The record of a training counts clips, and its notes say what the clips lack."""

from dataclasses import replace

import pytest

from soundness.data.datasets import open_dataset
from soundness.detectors.front_end import FrontEnd
from soundness.detectors.reader import RecordingReader
from soundness.representations.protocol import Fitted, NetworkFit
from soundness.representations.statistics import MeanLogMel
from soundness.training.preparation.clips import read_machine
from soundness.training.summary import domain_names, summarize, training_notes


@pytest.fixture
def clips(fan, small):
    (machine,) = open_dataset(fan).machines.values()
    return read_machine(machine, RecordingReader(FrontEnd(small("log-mel-knn"))), advance=lambda: None)


@pytest.fixture
def fitted(detectors):
    representation = detectors["log-mel-knn"].representation
    assert isinstance(representation, MeanLogMel)
    return Fitted(representation=representation, notes=("a note on the fit",))


def of_domain(clips, domain):
    return replace(clips, clips=tuple(replace(clip, domain=domain) for clip in clips.clips))


def test_clips_are_counted_by_domain_and_pseudo_label(clips, fitted, small):
    labelled = replace(clips, pseudo_labelled=(0, 1, 8))
    network = NetworkFit(n_parameters=3, n_steps=7, train_loss=0.5)
    summary = summarize(
        labelled,
        replace(fitted, network=network),
        settings=small("log-mel-knn"),
        seed=3,
        seconds={"reading": 1.0},
        notes=("a note",),
    )
    assert (summary.system, summary.seed, summary.notes, summary.seconds) == (
        "log-mel-knn",
        3,
        ("a note",),
        {"reading": 1.0},
    )
    assert summary.n_clips == {"source": 8, "target": 4}
    assert sum(summary.pseudo_labels.values()) == 3
    assert (summary.n_parameters, summary.n_steps, summary.train_loss, summary.held_out_loss) == (3, 7, 0.5, None)


@pytest.mark.parametrize(
    ("domain", "note"),
    [
        ("source", "no target-domain clips: what is normal there is judged by the source domain alone"),
        ("target", "no source-domain clips: what is normal there is judged by the target domain alone"),
        (None, "no domains: all clips are taken as one"),
    ],
)
def test_a_domain_that_is_missing_is_noted(clips, fitted, domain, note):
    one = of_domain(clips, domain)
    assert domain_names(one) == [domain or ""]
    assert list(training_notes(one, fitted)) == [note, "a note on the fit"]


def test_notes_on_the_clips_come_first(clips, fitted):
    noted = replace(clips, notes=("a note on the clips",))
    assert list(training_notes(noted, fitted)) == ["a note on the clips", "a note on the fit"]
