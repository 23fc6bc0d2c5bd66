"""Scorers in a graph give the scores of those in NumPy."""

import numpy as np
import pytest

from onnx_graphs import run_graph
from soundness.exporting.graph import Graph
from soundness.exporting.scorers import anomaly_score, p_value
from soundness.scoring.decisions.calibration import Calibration
from soundness.scoring.protocol import TrainingVectors
from soundness.scoring.scorers import SCORERS
from soundness.settings.scoring import ScorerSettings

SCORERS_TO_EXPORT = [
    {"distance": "nearest"},
    {"distance": "density-ratio", "normalization": "quantile"},
    {"distance": "mahalanobis", "whitening": "ledoit-wolf"},
    {"distance": "nearest", "n_neighbors": 3, "normalization": "quantile", "normalization_order": "after-min"},
    {
        "distance": "density-ratio",
        "n_neighbors": 2,
        "whitening": "shrunk",
        "is_standardised": True,
        "normalization": "min",
    },
    {"distance": "nearest", "whitening": "shrunk", "normalization": "min", "synthetic_neighbors": 2},
    {"name": "fused", "distance": "density-ratio", "whitening": "shrunk", "normalization": "min"},
    {"distance": "nearest", "whitening": "shrunk", "is_standardised": True, "anomaly_width": 1.0},
    {
        "distance": "density-ratio",
        "whitening": "ledoit-wolf",
        "is_standardised": True,
        "anomaly_width": 2.0,
    },
    {"name": "fused"},
    *(
        {"name": "fused", "whitening": "scaled", "is_standardised": True, "anomaly_width": 1.0, "level": level}
        for level in ("ignore", "both")
    ),
    {"name": "mean"},
    *(
        {
            "name": "joined",
            "whitening": "shrunk",
            "is_standardised": True,
            "normalization": "shrunk-z-score",
            "members": [{"distance": "narrow-change"}, {"distance": "nearest"}],
            "peaks": [{"view": 1, "price": price}, {"view": 0, "kind": "tone", "is_two_sided": True}],
        }
        for price in (0.0, 2.5)
    ),
]


@pytest.mark.parametrize("chosen", SCORERS_TO_EXPORT, ids=str)
def test_every_scorer_is_exact_in_a_graph(chosen):
    rng = np.random.default_rng(3)
    settings = ScorerSettings(**chosen)
    training = TrainingVectors.from_vectors(
        rng.normal(size=(40, 6)) * np.arange(1, 7),
        np.repeat([0, 1], [32, 8]),
        view_sizes=(4, 2) if settings.name in ("fused", "joined") else (),
        n_bands=4 if settings.name in ("fused", "joined") else 6,
    )
    scorer = SCORERS[settings.name].fit(training, settings)
    graph = Graph()
    vectors = graph.input("vectors", np.float64, ["clip", 1, 6])
    graph.output("score", anomaly_score(scorer, vectors), np.float64, ["clip"])
    clips = np.concatenate([3 * rng.normal(size=(20, 1, 6)), training.vectors[:3], np.full((1, 1, 6), 1e3)])
    (found,) = run_graph(graph, vectors=clips)
    np.testing.assert_allclose(found, [scorer.score(clip) for clip in clips], rtol=1e-9, atol=1e-9)


def test_p_values_are_exact_in_a_graph():
    rng = np.random.default_rng(0)
    scores = {"source": rng.normal(size=30), "target": rng.normal(1.0, size=7)}
    calibration = Calibration.from_scores(scores, origin="fresh")
    graph = Graph()
    graph.output("p_value", p_value(calibration, graph.input("score", np.float64, ["clip"])), np.float64, ["clip"])
    scores = np.concatenate([rng.normal(size=20), calibration.scores["target"]])
    (found,) = run_graph(graph, score=scores)
    assert found.tolist() == calibration.p_values(scores).tolist()
