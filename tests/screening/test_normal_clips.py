"""What is remembered of normal clips."""

import numpy as np

from soundness.screening.normal_clips import NormalClips


def measured(domains=("source", "target"), seed=0, n_channels=(1, 1)):
    rng = np.random.default_rng(seed)
    return NormalClips.from_log_mels(
        [rng.normal(-40, 3, (4, 30)) for _ in domains],
        names=[f"{seed}/{index}" for index in range(len(domains))],
        domains=domains,
        n_channels=n_channels,
    )


def test_a_clip_is_measured_by_mean_quantile_and_level():
    log_mel = np.array([[-10.0] * 9 + [0.0], [-30.0] * 10])
    found = NormalClips.from_log_mels([log_mel], names=["a/b.wav"], domains=["source"])
    assert np.allclose(found.means, [[-9.0, -30.0]])
    assert np.allclose(found.floors, [[-10.0, -30.0]])
    assert np.allclose(found.levels, 10 * np.log10((9 * 0.1 + 1.0) / 10 + 0.001))


def test_it_comes_back_from_its_arrays():
    found = measured(n_channels=(2, 1))
    again = NormalClips.from_arrays(found.arrays(), found.about())
    assert (again.means == found.means).all()
    assert again.domain_names == ("source", "target")
    assert again.names == ("0/0", "0/1")
    assert again.n_channels == (1, 2)


def test_clips_of_other_domains_join():
    joined = measured().concatenate(measured(("new", "source"), seed=1))
    assert joined.names == ("0/0", "0/1", "1/0", "1/1")
    assert joined.domain_names == ("source", "target", "new")
    assert joined.domains.tolist() == [0, 1, 2, 0]
    assert joined.of_domain("source").tolist() == [True, False, False, True]


def test_prints_are_kept():
    found = measured(n_channels=(2, 1))
    again = NormalClips.from_arrays(found.arrays(), found.about())
    assert [own.tolist() for own in again.prints] == [own.tolist() for own in found.prints]
    assert found.subset(np.array([1])).prints[0].tolist() == found.prints[1].tolist()
    assert len(found.concatenate(measured(seed=1)).prints) == 4


def test_some_of_them_keep_their_order_and_domains():
    some = measured(("source", "target", "target")).subset(np.array([2, 0]))
    assert some.names == ("0/2", "0/0")
    assert some.of_domain("target").tolist() == [True, False]
