"""Labels of hand-made blobs are what the eye says, whatever the order, and never of too few clips."""

from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from soundness.training.pseudo_labels import FEWEST_CLIPS, by_classifier, by_clusters


def blobs(*counts, distance=10.0, n_features=6, seed=0):
    """Round blobs of deviation 1, far apart along one axis each, and which of them each row belongs to."""
    rng = np.random.default_rng(seed)
    centres = distance * np.eye(n_features)
    rows = [centres[index] + rng.standard_normal((count, n_features)) for index, count in enumerate(counts)]
    return np.concatenate(rows), np.repeat(np.arange(len(counts)), counts)


# Clusters


@pytest.mark.parametrize("counts", [(30, 20), (20, 20, 20), (40, 30, 20, 10), (300, 6)])
def test_blobs_far_apart_are_the_clusters_numbered_by_their_size(counts):
    vectors, truth = blobs(*counts)
    found = by_clusters(vectors, ["source"] * len(vectors), seed=0)
    assert adjusted_rand_score(truth, found.labels) == 1.0
    assert sorted(Counter(found.labels).values()) == sorted(counts)
    assert Counter(found.labels)["cluster_1"] == max(counts)
    assert found.reason.startswith(f"source: {len(counts)} clusters: BIC falls by ")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [40, 60])
def test_one_blob_has_no_structure_and_gets_no_labels(count, seed):
    vectors, _ = blobs(count, seed=seed)
    found = by_clusters(vectors, ["source"] * count, seed=0)
    assert set(found.labels) == {""}
    assert found.reason == "source: 1 cluster, no structure: none of 2 to 8 lowers BIC by more than 6"


def test_ten_clips_of_one_blob_are_seldom_split():
    found = [by_clusters(blobs(10, seed=seed)[0], ["target"] * 10, seed=0).labels for seed in range(12)]
    assert sum(set(labels) != {""} for labels in found) <= 3


def test_what_varies_alike_in_all_clusters_does_not_hide_them():
    # Two levels 8 deviations apart in the first feature; the second varies by 50 whatever the level.
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 2
    vectors = np.column_stack([8.0 * truth, np.zeros(60)]) + rng.standard_normal((60, 2)) * (1.0, 50.0)
    found = by_clusters(vectors, ["source"] * 60, seed=0)
    assert adjusted_rand_score(truth, found.labels) == 1.0


def test_each_domain_has_clusters_of_its_own():
    vectors, truth = blobs(20, 15, 10)
    vectors = np.concatenate([vectors, vectors[:5], vectors[-5:]])  # the target's clips sound like the source's
    domains = ["source"] * 45 + ["target"] * 10
    found = by_clusters(vectors, domains, seed=0)
    names = [f"cluster_{1 + number}" for number in truth]
    assert list(found.labels[:45]) == names
    assert {frozenset(found.labels[45:50]), frozenset(found.labels[50:])} == {
        frozenset({"cluster_4"}),
        frozenset({"cluster_5"}),
    }
    assert "source: 3 clusters" in found.reason
    assert "target: 2 clusters" in found.reason


def test_a_domain_with_one_cluster_has_a_label_of_its_own_beside_one_with_more():
    vectors, truth = blobs(20, 15)
    found = by_clusters(np.concatenate([vectors, vectors[:4]]), ["source"] * 35 + ["target"] * 4, seed=0)
    assert list(found.labels) == [f"cluster_{1 + number}" for number in truth] + ["cluster_3"] * 4
    assert "target: 4 clips, too few to look for clusters" in found.reason


def test_the_order_of_the_clips_orders_the_labels_and_changes_none():
    vectors, _ = blobs(25, 20, 15, distance=5.0)  # close enough for some to be doubtful
    domains = np.array(["source", "target"])[np.arange(60) % 2]
    order = np.random.default_rng(1).permutation(60)
    before = by_clusters(vectors, list(domains), seed=0)
    after = by_clusters(vectors[order], list(domains[order]), seed=0)
    assert after.labels == tuple(np.array(before.labels)[order])
    assert after.reason == before.reason
    assert len(set(before.labels)) > 2
    assert by_clusters(vectors, list(domains), seed=0) == before


def test_a_cluster_of_too_few_clips_is_merged_with_the_nearest():
    vectors, truth = blobs(30, 20)
    outlier = 40.0 * np.eye(6)[0]  # on the far side of the first blob
    found = by_clusters(np.concatenate([vectors, outlier[None]]), ["source"] * 51, seed=0)
    assert min(Counter(found.labels).values()) >= FEWEST_CLIPS
    assert adjusted_rand_score(truth, found.labels[:50]) == 1.0
    assert "those of fewer than 3 clips are merged with the others" in found.reason


@pytest.mark.parametrize("count", [1, 3, 5, 7])
def test_of_a_few_clips_no_clusters_are_sought(count):
    found = by_clusters(blobs(count)[0], [""] * count, seed=0)
    assert set(found.labels) == {""}
    assert found.reason.endswith("too few to look for clusters")


@pytest.mark.parametrize("n_distinct", [1, 2])
def test_clips_that_are_the_same_are_labelled_all_the_same(n_distinct):
    vectors = np.repeat(10.0 * np.eye(6)[:n_distinct], 8, axis=0)
    found = by_clusters(vectors, ["source"] * len(vectors), seed=0)
    assert adjusted_rand_score(np.repeat(range(n_distinct), 8), found.labels) == 1.0


# The classifier


def test_each_clip_gets_the_class_whose_clips_it_lies_among():
    known, truth = blobs(20, 20, 20, seed=1)
    vectors, own = blobs(6, 5, 4, seed=2)
    found = by_classifier(vectors, [""] * 15, known=known, classes=[f"pump {number}" for number in truth])
    assert list(found.labels) == [f"pump {number}" for number in own]
    assert found.reason == "3 classes of 3"


def test_a_class_that_too_few_clips_fall_into_is_dropped_in_that_domain_alone():
    known, truth = blobs(20, 20, 20, seed=1)
    vectors, _ = blobs(6, 2, 6, seed=2)
    domains = ["source"] * 14 + ["target"] * 14
    target = blobs(6, 6, 2, seed=3)
    found = by_classifier(
        np.concatenate([vectors, target[0]]), domains, known=known, classes=[f"pump {number}" for number in truth]
    )
    assert set(found.labels[:14]) == {"pump 0", "pump 2"}
    assert list(found.labels[:6]) == ["pump 0"] * 6
    assert list(found.labels[8:14]) == ["pump 2"] * 6
    assert set(found.labels[14:]) == {"pump 0", "pump 1"}
    assert found.reason == "source: 2 classes of 3; target: 2 classes of 3"


def test_a_few_clips_all_of_which_differ_get_one_label():
    known, truth = blobs(20, 20, 20, seed=1)
    found = by_classifier(blobs(1, 1, 1, seed=2)[0], [""] * 3, known=known, classes=list(map(str, truth)))
    assert len(set(found.labels)) <= 3
    assert by_classifier(known, [""] * 60, known=known, classes=["only"] * 60).labels == ("only",) * 60


def test_a_scale_or_an_offset_that_all_share_changes_no_class():
    known, truth = blobs(20, 20, seed=1)
    vectors, _ = blobs(5, 5, seed=2)
    classes = [str(number) for number in truth]
    before = by_classifier(vectors, [""] * 10, known=known, classes=classes)
    assert by_classifier(5 * vectors - 80, [""] * 10, known=5 * known - 80, classes=classes) == before
