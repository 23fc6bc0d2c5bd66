"""Every setting has one default; whatever is unknown, of the wrong type or out of range is refused by name."""

import re
import tomllib
from contextlib import suppress
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from soundness.errors import SettingsError
from soundness.settings.loading import (
    load_separator_settings,
    load_settings,
    system_descriptions,
    system_names,
    validated,
)
from soundness.settings.system import (
    SEPARATOR_SIZES,
    AutoencoderSettings,
    ConvTasNetSize,
    SeparatorSettings,
    SystemSettings,
)


def leaves(model, prefix=""):
    """Dotted key and value of every setting."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_every_system_of_the_package_is_named_and_loads():
    files = {path.name for path in resources.files("soundness.settings").joinpath("systems").iterdir()}
    assert {f"{name}.toml" for name in system_names()} == {name for name in files if name.endswith(".toml")}
    assert "conditional" in system_names()
    assert system_names() == sorted(system_names())
    assert all(load_settings(name).description for name in system_names())


def test_the_default_has_no_network():
    settings = load_settings()
    assert settings == load_settings("soundness")
    assert settings.scorer.name == "fused"


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


def test_a_system_has_the_name_that_it_was_loaded_by(tmp_path):
    assert [load_settings(name).name for name in system_names()] == system_names()
    (tmp_path / "mine.toml").write_text("quantile = 0.2\n", encoding="utf-8")
    assert load_settings(tmp_path / "mine.toml", overrides=["quantile=0.4"]).name == "mine"
    assert load_settings("conditional", overrides=["name=mine"]).name == "mine"
    with pytest.raises(SettingsError, match="name"):
        load_settings("conditional", overrides=["name=a/b"])


def test_two_systems_that_differ_in_name_and_description_alone_decide_alike():
    named = load_settings("conditional", overrides=["name=mine", "description=My own."])
    assert named != load_settings("conditional")
    assert named.deciding() == load_settings("conditional").deciding()


@pytest.mark.parametrize("system", system_names())
def test_loaded_settings_can_be_changed_further(system):
    settings = load_settings(system)
    assert load_settings(settings) == settings
    override = "scorer.n_neighbors=7"
    assert load_settings(settings, overrides=[override]) == load_settings(system, overrides=[override])


def test_settings_cannot_be_changed_once_they_are_made():
    with pytest.raises(ValueError, match="frozen"):
        load_settings().false_alarm_rate = 0.5


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


def test_the_systems_of_the_report_differ_from_its_first_in_what_it_says_and_in_nothing_else():
    first = dict(leaves(load_settings("conditional")))
    for system, expected in {
        "unconditional": {"autoencoder.is_conditional": False},
        "conditional-256": {"log_mel.n_mels": 256, "log_mel.n_fft": 2048},
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
        ("scorer.n_neighbors=0", r"scorer\.n_neighbors: .*greater than or equal to 1; 0 came"),
        ("scorer.n_neighbors=1.5", r"scorer\.n_neighbors: .*; 1\.5 came"),
        ("scorer.n_neighbors=many", r"scorer\.n_neighbors: .*; 'many' came"),
        ("scorer.shrinkage=0", r"scorer\.shrinkage: .*greater than 0; 0 came"),
        ("scorer.shrinkage=1.1", r"scorer\.shrinkage: .*less than or equal to 1"),
        ("scorer.whitening=full", r"scorer\.whitening: .*'none', 'shrunk', .*'full' came"),
        ("scope=all", r"scope: .*'machine' or 'shared'; 'all' came"),
        ("false_alarm_rate=1", r"false_alarm_rate: .*less than 1"),
        ("false_alarm_rate=0", r"false_alarm_rate: .*greater than 0"),
        ("log_mel.fmin=nan", r"log_mel\.fmin: .*finite number"),
        ("training.held_out=1", r"training\.held_out: .*less than 1"),
        ("training.learning_rate=0", r"training\.learning_rate: .*greater than 0"),
        ("audio.sample_rate=999", r"audio\.sample_rate: .*1000"),
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
def test_an_override_that_does_not_fit_is_refused_by_name(override, message):
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
        (b"log_mel = 3\n", r"mine\.toml: log_mel: "),
        (b"[log_mel]\nfmax = 9000\n", r"mine\.toml: .*log_mel\.fmax is 9000 Hz"),
    ],
)
def test_a_users_own_file_that_does_not_fit_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        load_settings(str(path))


def test_a_file_that_is_not_there_and_a_folder_are_refused_by_name(tmp_path):
    with pytest.raises(SettingsError, match=re.escape(str(tmp_path / "none.toml"))):
        load_settings(str(tmp_path / "none.toml"))
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(SettingsError, match=r"folder\.toml: not a readable settings file"):
        load_settings(str(tmp_path / "folder.toml"))


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("cpu", (256, 64, 64, 128, 6, 2)),
        ("cpu-quality", (256, 64, 128, 256, 8, 3)),
        ("gpu", (512, 32, 128, 512, 8, 3)),
        ("paper", (512, 16, 128, 512, 8, 3)),
    ],
)
def test_the_sizes_of_a_separator_are_those_of_the_table(name, sizes):
    size = SeparatorSettings(size=name).network
    assert size == SEPARATOR_SIZES[name]
    found = (size.n_filters, size.kernel_size, size.bottleneck_channels, size.hidden_channels)
    assert (*found, size.n_blocks, size.n_repeats) == sizes  # N L B H X R
    assert size.skip_channels == size.bottleneck_channels
    assert size.block_kernel_size == 3


def test_the_sizes_are_those_that_may_be_named():
    assert set(SEPARATOR_SIZES) == {"cpu", "cpu-quality", "gpu", "paper"}
    for size in SEPARATOR_SIZES:
        assert load_separator_settings(overrides=[f"size={size}"]).size == size


@pytest.mark.parametrize("change", [{"kernel_size": 15}, {"kernel_size": 0}, {"n_filters": 0}, {"skip_channels": 1.5}])
def test_a_size_that_no_network_can_have_is_refused_by_name(change):
    values = SEPARATOR_SIZES["cpu"].model_dump()
    assert ConvTasNetSize(**values) == SEPARATOR_SIZES["cpu"]
    with pytest.raises(SettingsError, match=next(iter(change))):
        validated(ConvTasNetSize, values | change)


def test_the_default_separator_is_the_small_one_that_hears_16_khz():
    settings = load_separator_settings()
    assert settings == SeparatorSettings() == load_settings().separator
    assert (settings.size, settings.basis, settings.causal) == ("cpu", "stft", False)
    assert (settings.sample_rate, settings.n_fft) == (16_000, 2048)
    assert settings.max_steps == 4000


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("size=cpu-quality", "size", "cpu-quality"),
        (" minutes = 5 ", "minutes", 5.0),
        ("max_steps=30", "max_steps", 30),
        ("refresh_steps=[]", "refresh_steps", ()),
        ("basis=learned", "basis", "learned"),
        ("causal=true", "causal", True),
        ("crop_seconds=[1, 1.5]", "crop_seconds", (1.0, 1.5)),
        ("crop_seconds=[2, 2]", "crop_seconds", (2.0, 2.0)),
        ("snr_db=[-10, 0]", "snr_db", (-10.0, 0.0)),
        ("gain_db=[0, 0]", "gain_db", (0.0, 0.0)),
    ],
)
def test_an_override_of_a_separator_changes_its_setting_and_no_other(override, key, value):
    before, after = dict(leaves(SeparatorSettings())), dict(leaves(load_separator_settings(overrides=[override])))
    assert {name: after[name] for name in after if name != key} == {n: before[n] for n in before if n != key}
    assert after[key] == value
    assert type(after[key]) is type(value)
    assert (
        dict(leaves(load_settings("conditional", overrides=[f"separator.{override.strip()}"])))[f"separator.{key}"]
        == value
    )


def test_overrides_of_a_separator_may_come_from_a_generator_and_the_last_counts():
    assert load_separator_settings(overrides=(f"size={size}" for size in ("paper", "gpu"))).size == "gpu"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("crop_seconds=[4, 2]", r"crop_seconds is \[4, 2\]; the smaller comes first"),
        ("snr_db=[5, -5]", r"snr_db is \[5, -5\]; the smaller comes first"),
        ("gain_db=[0.5, 0]", r"gain_db is \[0\.5, 0\]; the smaller comes first"),
        ("crop_seconds=[0, 2]", r"crop_seconds begins at 0 s; more than 0 is needed"),
        ("crop_seconds=[-1, 2]", r"crop_seconds begins at -1 s"),
        ("crop_seconds=[1]", r"crop_seconds\.1: .*required"),
        ("crop_seconds=[1, 2, 3]", r"crop_seconds: .*at most 2"),
        ("crop_seconds=3", r"crop_seconds: .*; 3 came"),
        ("crop_seconds=['1', 2]", r"crop_seconds\.0: .*; '1' came"),
        ("snr_db=[nan, 1]", r"snr_db\.0: .*finite number"),
        ("size=huge", r"size: .*'cpu', 'cpu-quality', 'gpu' or 'paper'; 'huge' came"),
        ("basis=wavelet", r"basis: .*'learned' or 'stft'; 'wavelet' came"),
        ("n_fft=510", r"n_fft: .*multiple of 4; 510 came"),
        ("n_fft=16", r"n_fft: .*32"),
        ("sample_rate=999", r"sample_rate: .*1000"),
        ("channel=-1", r"channel: "),
        ("batch_size=0", r"batch_size: "),
        ("learning_rate=0", r"learning_rate: .*greater than 0"),
        ("gradient_norm=0", r"gradient_norm: .*greater than 0"),
        ("minutes=0", r"minutes: .*greater than 0"),
        ("minutes=inf", r"minutes: .*finite number"),
        ("max_steps=0", r"max_steps: "),
        ("refresh_steps=[0]", r"refresh_steps\.0: "),
        ("refresh_steps=[30, 20]", r"refresh_steps is \[30, 20\]; each is larger"),
        ("refresh_steps=[30, 30]", r"refresh_steps is \[30, 30\]; each is larger"),
        ("held_out=0", r"held_out: .*greater than 0"),
        ("held_out=1", r"held_out: .*less than 1"),
        ("most_training_clips=0", r"most_training_clips: "),
        ("causal=1", r"causal: .*boolean; 1 came"),
        ("minutes=true", r"minutes: .*; True came"),
        ("accelerator=3", r"accelerator: .*string; 3 came"),
    ],
)
def test_a_setting_of_a_separator_that_does_not_fit_is_refused_by_name_alone_and_in_a_system(override, message):
    for load, given_as in ((load_separator_settings, override), (load_settings, f"separator.{override}")):
        with pytest.raises(SettingsError, match=message) as caught:
            load(overrides=[given_as])
        assert "\n" not in str(caught.value)
        assert f"--set {given_as}" in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("minute=5", r"--set minute=5: unknown setting 'minute' \(did you mean 'minutes'\?\)"),
        ("separator.minutes=5", r"unknown setting 'separator\.minutes'"),
        ("size.n_filters=5", r"unknown setting 'size\.n_filters'"),
        ("xyzzy=1", r"unknown setting 'xyzzy'"),
        ("minutes", r"--set minutes: expected key=value"),
        ("=5", r"expected key=value"),
    ],
)
def test_an_unknown_setting_of_a_separator_is_refused_by_name(override, message):
    with pytest.raises(SettingsError, match=message):
        load_separator_settings(overrides=[override])
