"""What the factory refuses to make."""

import pytest
from pydantic import ValidationError

from soundness.errors import SettingsError
from soundness.synthetic import FactorySettings


def test_the_defaults_make_all_seven_machines() -> None:
    settings = FactorySettings()
    assert settings.machines == ("ToyCar", "ToyTrain", "bearing", "fan", "gearbox", "slider", "valve")
    assert (settings.n_train, settings.n_target_train, settings.n_test_normal) == (60, 10, 50)


def test_an_unknown_machine_is_refused_with_the_names_of_those_there_are() -> None:
    with pytest.raises(SettingsError, match=r"'pump' is unknown.*ToyCar.*valve"):
        FactorySettings(machines=("fan", "pump"))


def test_a_machine_that_comes_twice_is_refused() -> None:
    with pytest.raises(SettingsError, match="'fan' comes twice"):
        FactorySettings(machines=("fan", "valve", "fan"))


def test_a_training_set_without_source_clips_is_refused() -> None:
    with pytest.raises(SettingsError, match="n_target_train is 10: none of n_train = 10"):
        FactorySettings(n_train=10)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("machines", ()),
        ("n_train", 0),
        ("n_test_normal", -1),
        ("n_test_anomaly", 10000),
        ("n_supplemental", 1.5),
        ("seconds", 0.5),
        ("seconds", float("inf")),
        ("seed", -1),
        ("n_workers", 0),
        ("colour", "red"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValidationError, match=name):
        FactorySettings.model_validate({name: value})


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        FactorySettings().seed = 1  # type: ignore[misc]  # that is the point
