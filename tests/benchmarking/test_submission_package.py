"""A system is described, and authors are read, in the fields of the challenge."""

import pytest

from soundness.benchmarking.submission_package import describe_system, parse_author
from soundness.errors import SettingsError


def test_separation_is_described(small) -> None:
    front_ends = {
        separation: describe_system(small("conditional", f"separation={separation}"), uses_attributes=False)
        for separation in ("off", "augment", "target=separated")
    }
    assert [one.front_end is not None for one in front_ends.values()] == [False, False, True]
    assert [one.data_augmentation is not None for one in front_ends.values()] == [False, True, False]
    assert front_ends["off"].attribute_usage is None


def test_an_author_is_read_from_a_line() -> None:
    author = parse_author("Roe, R.; roe@example.org; X; ; Bern", is_corresponding=True)
    assert (author.lastname, author.firstname, author.email, author.corresponding) == (
        "Roe",
        "R.",
        "roe@example.org",
        True,
    )
    assert (author.affiliation.institution, author.affiliation.department) == ("X", None)
    assert author.affiliation.location == "Bern"
    assert parse_author("Roe, R.; roe@example.org; X", is_corresponding=False).affiliation.location is None
    with pytest.raises(SettingsError, match="expected 'Lastname, Firstname; e-mail; institution"):
        parse_author("Roe; roe@example.org; X", is_corresponding=True)
