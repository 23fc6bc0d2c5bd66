"""Settings of the systems of the package; values out of range are refused by name."""

import pytest

from setting_values import leaves
from soundness.errors import SettingsError
from soundness.settings.loading import (
    load_settings,
    system_names,
)
from soundness.settings.system import (
    SystemSettings,
)


def test_the_default_has_no_network():
    settings = load_settings()
    assert settings == load_settings("soundness")
    assert settings.scorer.name == "joined"


def test_the_reports_first_system_is_what_settings_are_where_a_file_says_nothing():
    settings = load_settings("conditional")
    assert settings == SystemSettings(name="conditional", description=settings.description)
    assert settings.representation == "reconstruction-error"
    assert settings.autoencoder is not None
    assert settings.autoencoder.is_conditional
    assert settings.training is not None
    assert (settings.training.batch_size, settings.training.learning_rate) == (256, 1e-3)
    assert (settings.log_mel.n_fft, settings.log_mel.hop_length, settings.log_mel.n_mels) == (1024, 512, 128)
    assert settings.false_alarm_rate == 0.1


@pytest.mark.parametrize("system", ["log-mel-knn", "log-mel-whitened"])
def test_a_system_without_a_network_has_no_settings_of_one(system):
    settings = load_settings(system)
    assert settings.autoencoder is None
    assert settings.training is None


@pytest.mark.parametrize("system", system_names())
def test_settings_survive_json(system):
    settings = load_settings(system)
    assert SystemSettings.model_validate(settings.model_dump(mode="json")) == settings


def test_two_systems_that_differ_in_name_and_description_alone_decide_alike():
    named = load_settings("conditional", overrides=["name=mine", "description=My own."])
    assert named != load_settings("conditional")
    assert named.deciding() == load_settings("conditional").deciding()


def test_views_are_those_of_a_log_mel_each_once():
    assert load_settings("log-mel-knn").views == ()
    assert load_settings().needs_details
    assert not load_settings(overrides=['views=["events"]', "scorer.peaks=[]"]).needs_details
    for name in ("modulation", "tones"):
        assert load_settings(overrides=[f'views=["events","{name}"]', "scorer.peaks=[]"]).needs_details
    with pytest.raises(
        SettingsError, match=r"views is tones, which needs representation 'log-mel'; it is 'mean-log-mel'"
    ):
        load_settings("log-mel-knn", overrides=['views=["tones"]'])
    with pytest.raises(SettingsError, match=r"views is tones, tones; expected each once"):
        load_settings(overrides=['views=["tones","tones"]'])
    with pytest.raises(SettingsError, match=r"views\.0: .*'events', .* or 'tones'"):
        load_settings(overrides=['views=["rhythm"]'])


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (['poolings=["mean","quantile-0.1","quantile-0.9"]'], "dropout at view 3; 'dropouts' is view 4"),
        (['views=["dropouts","events","modulation","tones"]'], "event at view 2; 'events' is view 3"),
        (['views=["events","dropouts","tones"]'], "modulation at view 4; 'modulation' is not among views"),
        (["scorer.name=fused"], "scorer.peaks needs the scorer 'joined'; scorer.name is 'fused'"),
    ],
)
def test_a_test_looks_at_the_view_of_its_kind(overrides, reason):
    with pytest.raises(SettingsError, match=reason):
        load_settings(overrides=overrides)


def test_the_systems_of_the_report_differ_from_its_first_in_what_it_says_and_in_nothing_else():
    first = dict(leaves(load_settings("conditional")))
    for system, expected in {
        "unconditional": {"autoencoder.is_conditional": False},
        "conditional-256": {"log_mel.n_mels": 256, "log_mel.n_fft": 2048},
        "conditional-time": {"autoencoder.name": "time-convolutional", "autoencoder.channels": (128, 64)},
        "report-literal": {"separator.causal": True, "scorer.normalization_order": "after-min"},
    }.items():
        found = dict(leaves(load_settings(system)))
        assert {
            key: found[key] for key in found if found[key] != first[key] and key not in ("name", "description")
        } == expected


def test_the_two_baselines_differ_in_their_score_alone():
    mse, mahalanobis = (dict(leaves(load_settings(f"baseline-{name}"))) for name in ("mse", "mahalanobis"))
    assert {key for key in mse if mse[key] != mahalanobis[key]} == {
        "name",
        "description",
        "autoencoder.error",
        "scorer.name",
    }
    assert (mse["training.n_epochs"], mse["training.batch_size"], mse["training.learning_rate"]) == (100, 256, 1e-3)
    assert mse["training.held_out"] == 0.1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scope=all", r"scope: .*'machine' or 'shared'; 'all' came"),
        ("false_alarm_rate=1", r"false_alarm_rate: .*less than 1"),
        ("false_alarm_rate=0", r"false_alarm_rate: .*greater than 0"),
        ("log_mel.fmin=nan", r"log_mel\.fmin: .*finite number"),
        ("training.held_out=1", r"training\.held_out: .*less than 1"),
        ("training.learning_rate=0", r"training\.learning_rate: .*greater than 0"),
        ("audio.sample_rate=0", r"audio\.sample_rate: .*1"),
        ("audio.channel=-1", r"audio\.channel: "),
        ("log_mel.n_fft=16", r"log_mel\.n_fft: "),
        ("log_mel.floor_db=1", r"log_mel\.floor_db: "),
        ("autoencoder.channels=[]", r"autoencoder\.channels: .*at least 1"),
        ("autoencoder.channels=[8,0]", r"autoencoder\.channels\.1: .*; 0 came"),
        ("audio=3", r"audio: .*; 3 came"),
        ("description=1", r"description: .*string; 1 came"),
        ("log_mel.fmax=8001", r"log_mel\.fmax is 8001 Hz; at most half of audio\.sample_rate, 8000 Hz"),
        ("audio.sample_rate=8000", r"log_mel\.fmax is 8000 Hz; .*4000 Hz"),
        ("log_mel.fmin=8000", r"log_mel\.fmin \(8000 Hz\) must lie below log_mel\.fmax \(8000 Hz\)"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(override, message):
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings("conditional", overrides=[override])
    assert "\n" not in str(caught.value)
