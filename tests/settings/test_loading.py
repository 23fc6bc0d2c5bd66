"""Settings from files and overrides; unknown keys and wrong types are refused by name."""

import re
import tomllib
from contextlib import suppress
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setting_values import leaves
from soundness.errors import SettingsError
from soundness.settings.loading import (
    load_settings,
    system_descriptions,
    system_names,
)
from soundness.settings.system import (
    AutoencoderSettings,
    SystemSettings,
)


def test_every_system_of_the_package_is_named_and_loads():
    files = {path.name for path in resources.files("soundness.settings").joinpath("systems").iterdir()}
    assert {f"{name}.toml" for name in system_names()} == {name for name in files if name.endswith(".toml")}
    assert "conditional" in system_names()
    assert system_names() == sorted(system_names())
    assert all(load_settings(name).description for name in system_names())


def test_a_system_has_the_name_that_it_was_loaded_by(tmp_path):
    assert [load_settings(name).name for name in system_names()] == system_names()
    (tmp_path / "mine.toml").write_text("quantile = 0.2\n", encoding="utf-8")
    assert load_settings(tmp_path / "mine.toml", overrides=["quantile=0.4"]).name == "mine"
    assert load_settings("conditional", overrides=["name=mine"]).name == "mine"
    with pytest.raises(SettingsError, match="name"):
        load_settings("conditional", overrides=["name=a/b"])


@pytest.mark.parametrize("system", system_names())
def test_loaded_settings_can_be_changed_further(system):
    settings = load_settings(system)
    assert load_settings(settings) == settings
    override = "scorer.n_neighbors=7"
    assert load_settings(settings, overrides=[override]) == load_settings(system, overrides=[override])


def test_an_override_changes_its_setting_and_no_other():
    before = dict(leaves(load_settings("conditional")))
    after = dict(leaves(load_settings("conditional", overrides=["scorer.n_neighbors=3"])))
    assert {key: after[key] for key in after if after[key] != before[key]} == {"scorer.n_neighbors": 3}


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("scorer.n_neighbors=2", "scorer.n_neighbors", 2),
        (" scorer.n_neighbors = 2 ", "scorer.n_neighbors", 2),
        ("training.learning_rate=3e-4", "training.learning_rate", 3e-4),
        ("log_mel.fmax=4000", "log_mel.fmax", 4000.0),
        ("autoencoder.is_conditional=false", "autoencoder.is_conditional", False),
        ("autoencoder.channels=[4, 8]", "autoencoder.channels", (4, 8)),
        ("scorer.whitening=shrunk", "scorer.whitening", "shrunk"),
        ('scorer.whitening="shrunk"', "scorer.whitening", "shrunk"),
        ("scope=shared", "scope", "shared"),
        ("description=a = b", "description", "a = b"),
        ("description=", "description", ""),
    ],
)
def test_the_value_of_an_override_is_read_as_toml_or_else_as_text(override, key, value):
    found = dict(leaves(load_settings("conditional", overrides=[override])))[key]
    assert found == value
    assert type(found) is type(value)


def test_a_part_alone_stands_for_its_name_and_keeps_its_other_settings():
    settings = load_settings("fully-connected", overrides=["autoencoder=mine.networks:Mine", "scorer=mean"])
    assert settings.autoencoder.name == "mine.networks:Mine"
    assert settings.autoencoder.segment_frames == 5
    assert settings == load_settings(
        "fully-connected", overrides=["autoencoder.name=mine.networks:Mine", "scorer.name=mean"]
    )
    assert load_settings("conditional", overrides=["representation=mine:Mine"]).representation == "mine:Mine"
    with pytest.raises(SettingsError, match="this system has no network"):
        load_settings("log-mel-knn", overrides=["autoencoder=mine:Mine"])


def test_each_system_is_described_in_one_line():
    assert list(system_descriptions()) == system_names()
    for name, line in system_descriptions().items():
        assert line == load_settings(name).description
        assert 20 < len(line) < 120
        assert "\n" not in line


def test_the_last_of_two_overrides_counts():
    assert (
        load_settings("conditional", overrides=["scorer.n_neighbors=2", "scorer.n_neighbors=5"]).scorer.n_neighbors == 5
    )


def test_overrides_that_only_fit_together_are_taken_together():
    settings = load_settings("conditional", overrides=["log_mel.fmax=16000", "audio.sample_rate=32000"])
    assert (settings.log_mel.fmax, settings.audio.sample_rate) == (16_000.0, 32_000)


def test_overrides_may_come_from_a_generator():
    assert load_settings("conditional", overrides=(f"scorer.n_neighbors={k}" for k in (2, 3))).scorer.n_neighbors == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scorer.n_neighbour=2", r"n_neighbour'? \(did you mean 'n_neighbors'\?\).*whitening"),
        ("scorers.n_neighbors=2", r"unknown setting 'scorers' \(did you mean 'scorer'\?\)"),
        ("xyzzy=2", r"unknown setting 'xyzzy'; known here: .*log_mel"),
        ("scorer.n_neighbors.x=2", r"n_neighbors has no settings of its own"),
        (".=2", r"unknown setting ''"),
        ("n_neighbors", r"--set n_neighbors: expected key=value"),
        ("=2", r"expected key=value"),
    ],
)
def test_an_unknown_key_is_refused_with_those_there_are(override, message):
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings("conditional", overrides=[override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("override", ["scorer.n_neighbors=true", "scorer.n_neighbors='2'", "log_mel.fmin=false"])
def test_a_value_of_another_type_is_refused_though_it_could_be_converted(override):
    with pytest.raises(SettingsError, match=override.partition("=")[0]):
        load_settings("conditional", overrides=[override])


def test_a_setting_of_the_network_is_refused_in_a_system_that_has_none():
    with pytest.raises(SettingsError, match=r"latent_features.*no network"):
        load_settings("log-mel-knn", overrides=["autoencoder.latent_features=4"])


@pytest.mark.parametrize(
    "overrides", [["autoencoder=false", "autoencoder.latent_features=3"], ["scorer=3", "scorer.n_neighbors=2"]]
)
def test_an_override_below_one_that_is_no_table_is_refused(overrides):
    with pytest.raises(SettingsError, match=overrides[0].partition("=")[0]):
        load_settings("conditional", overrides=overrides)


@given(st.text(max_size=30))
def test_whatever_is_given_as_an_override_is_taken_or_refused(text):
    with suppress(SettingsError):
        assert isinstance(load_settings("conditional", overrides=[text]), SystemSettings)


def test_an_unknown_system_is_refused_with_those_there_are():
    with pytest.raises(
        SettingsError, match=r"no system 'conditonal' \(did you mean 'conditional'\?\); there are "
    ) as e:
        load_settings("conditonal")
    assert all(name in str(e.value) for name in system_names())


def test_a_users_own_file_changes_the_defaults(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('description = "mine"\n[scorer]\nn_neighbors = 4\n', encoding="utf-8")
    assert load_settings(str(path)).scorer.n_neighbors == 4
    assert load_settings(str(path)).description == "mine"
    assert load_settings(str(path)).autoencoder == AutoencoderSettings()
    assert load_settings(str(path), overrides=["scorer.n_neighbors=5"]).scorer.n_neighbors == 5


def test_a_users_own_copy_of_a_system_is_that_system(tmp_path):
    for name in system_names():
        text = resources.files("soundness.settings").joinpath("systems", f"{name}.toml").read_text(encoding="utf-8")
        tomllib.loads(text)
        path = tmp_path / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        assert load_settings(str(path)) == load_settings(path) == load_settings(name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x = ", r"mine\.toml: not a readable settings file"),
        (b"\xff\xfe", r"mine\.toml: not a readable settings file"),
        (b"[scorer]\nn_neighbour = 1\n", r"mine\.toml: unknown setting 'scorer\.n_neighbour' \(did you mean 'n_neigh"),
        (b"xyzzy = 1\n", r"mine\.toml: unknown setting 'xyzzy'"),
        (b"[scorer]\nn_neighbors = 0\n", r"mine\.toml: scorer\.n_neighbors: "),
        (b"[[scorer.members]]\nviews = 1\n", r"mine\.toml: unknown setting 'scorer\.members\.0\.views' \(.*'view'\?"),
        (b"[autoencoder]\nname = 'x'\nlatent = 1\n", r"mine\.toml: unknown setting 'autoencoder\.latent'"),
        (b"log_mel = 3\n", r"mine\.toml: log_mel: "),
        (b"[log_mel]\nfmax = 9000\n", r"mine\.toml: .*log_mel\.fmax is 9000 Hz"),
    ],
)
def test_a_users_own_file_that_does_not_fit_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        load_settings(str(path))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("comparison", "nearest", r"unknown setting .*comparison' \(called 'distance' now\)"),
        ("balance", "min", r"unknown setting .*balance' \(called 'normalization' now\)"),
        ("whitening_scope", "pooled", r"unknown setting .*whitening_scope' \(it was removed: leave it out\)"),
        ("n_components", 2, r"unknown setting .*n_components' \(it was removed: leave it out\)"),
        ("fusion", "mean", r"unknown setting .*fusion' \(it was removed: leave it out\)"),
        ("normalization", "after-min", r"normalization: .*'after-min' came \(a value of 'normalization_order' now\)"),
        ("normalization", "before-min", r"normalization: .*'before-min' came \(a value of 'normalization_order' now\)"),
    ],
)
def test_an_old_setting_is_refused_with_what_became_of_it(tmp_path, key, value, message):
    path = tmp_path / "mine.toml"
    for table in ("[scorer]", "[[scorer.members]]"):
        path.write_text(f"{table}\n{key} = {value!r}\n", encoding="utf-8")
        with pytest.raises(SettingsError, match=message) as caught:
            load_settings(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(SettingsError, match=message):
        load_settings("conditional", overrides=[f"scorer.{key}={value}"])


def test_a_file_that_is_not_there_and_a_folder_are_refused_by_name(tmp_path):
    with pytest.raises(SettingsError, match=re.escape(str(tmp_path / "none.toml"))):
        load_settings(str(tmp_path / "none.toml"))
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(SettingsError, match=r"folder\.toml: not a readable settings file"):
        load_settings(str(tmp_path / "folder.toml"))
