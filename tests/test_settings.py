"""Where a setting comes from: command line, environment, file, default, in this order."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agenttrace_mitm import settings
from agenttrace_mitm.capture import authority
from agenttrace_mitm.errors import SettingsError


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTTRACE_HOME", str(tmp_path))
    return tmp_path / "config.json"


def test_the_nearest_wins(config, monkeypatch):
    assert settings.load().retention_days == 30
    config.write_text(json.dumps({"retention_days": 3, "port": 1}))
    assert settings.load().retention_days == 3
    monkeypatch.setenv("AGENTTRACE_RETENTION_DAYS", "2")
    assert settings.load().retention_days == 2
    found = settings.load({"retention_days": 1, "port": None})
    assert (found.retention_days, found.port) == (1, 1)


def test_lists_and_objects_in_the_environment_are_json(config, monkeypatch):
    monkeypatch.setenv("AGENTTRACE_HOSTS_ENABLED", '["groq"]')
    monkeypatch.setenv("AGENTTRACE_RETENTION_AGENTS", '{"eval": 1}')
    monkeypatch.setenv("AGENTTRACE_OPEN_BROWSER", "false")
    monkeypatch.setenv("AGENTTRACE_MAX_BYTES", "2GB")
    monkeypatch.setenv("AGENTTRACE_DB", "1.db")
    found = settings.load()
    assert found.hosts_enabled == ["groq"]
    assert found.retention_agents == {"eval": 1}
    assert found.open_browser is False
    assert found.max_bytes == 2_000_000_000
    assert found.db == Path("1.db")


def test_settings_made_by_hand_are_what_was_given(config, monkeypatch):
    """The recorder is given its settings: nothing changes them on the way."""
    config.write_text(json.dumps({"retention_days": 3}))
    monkeypatch.setenv("AGENTTRACE_PORT", "1")
    given = settings.Settings(retention_days=7)
    assert (given.retention_days, given.port) == (7, 8080)


JSON_IN_ENVIRONMENT = ("smtp", "upstream_map")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("proxy_port", "abc", "expected a whole number from 0 to 65535 (got 'abc')"),
        ("proxy_port", 65536, "expected a whole number from 0 to 65535 (got 65536)"),
        ("retention_days", -1, "expected a whole number from 0 (got -1)"),
        ("privacy_tier", "4", "expected one of 1, 2, 3 (got '4')"),
        ("log_level", "loud", "expected one of debug, info, warning, error (got 'loud')"),
        ("max_bytes", "2 buckets", "expected a size like 500MB or 2GB (got '2 buckets')"),
        ("git", "perhaps", "expected true or false (got 'perhaps')"),
        ("hosts_enabled", [1], "Expected `str`, got `int` - at `$"),
        ("upstream_ca", 1, "Expected a path"),
        ("time_zone", "Mars/Base", "expected a zone of the tz database, such as Europe/Berlin"),
        ("time_zone", "../Berlin", "expected a zone of the tz database"),
        ("upstream_proxy", "not a url", "expected a proxy's URL, such as http://"),
        ("upstream_proxy", "socks5://me:secret@x:1", "expected a proxy's URL, such as http://"),
        ("upstream_map", {"a.b": "foo bar"}, "'foo bar' is neither host:port nor a URL"),
        ("upstream_map", {"a.b": "https://c/v1"}, "'https://c/v1' is neither host:port nor a URL"),
        ("upstream_map", {"https://a.b": "c:1"}, "'https://a.b' is not the name of a host"),
        ("upstream_map", {"a.b": "https://me:secret@c/v1?key=secret"}, "'c/v1' is neither"),
        ("upstream_map", {"a.b": "https://me:secret@c", "x/y": "d:1"}, "'x/y' is not the name"),
        ("upstream_map", "https://me:secret@c", "Expected `object`, got `str`"),
        ("smtp", {"SMTP_PASSWORD": "secret", "SMTP_PORT": 1}, "Expected `str`, got `int`"),
        ("smtp", "smtp://me:secret@mail.example", "Expected `object`, got `str`"),
        ("public_url", ["https://me:secret@c"], "Expected `str`, got `array`"),
        ("port", {"secret": 1}, "expected a whole number from 0 to 65535"),
        ("hosts_added", {"x": {"speaks": "openai", "name": "x"}}, "unknown field `name`"),
    ],
)
def test_a_wrong_value_is_named_with_its_place_and_what_it_should_be(
    config, monkeypatch, name, value, expected
):
    config.write_text(json.dumps({name: value}))
    with pytest.raises(SettingsError) as wrong:
        settings.load()
    assert wrong.value.problem.startswith(f"{name!r} in {config} is wrong: ")
    assert expected in wrong.value.problem
    assert "secret" not in wrong.value.problem
    if isinstance(value, str) and name not in JSON_IN_ENVIRONMENT:
        config.unlink()
        monkeypatch.setenv(f"AGENTTRACE_{name.upper()}", value)
        with pytest.raises(SettingsError, match=f"AGENTTRACE_{name.upper()} in the environment"):
            settings.load()
        with pytest.raises(SettingsError, match=f"--{name.replace('_', '-')} on the command line"):
            settings.load({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("time_zone", "Europe/Berlin"),
        ("time_zone", ""),
        ("upstream_proxy", "proxy.corp:3128"),
        ("upstream_proxy", "https://me:p%40ss@[::1]:3128/"),
        ("upstream_map", {"api.openai.com": "127.0.0.1:1", "192.0.2.7": "http://[::1]:8/"}),
        ("upstream_map", {"API.OpenAI.com.": "https://my_gateway", "x.y": "münchen.example:1"}),
    ],
)
def test_what_is_right_is_taken(config, name, value):
    assert getattr(settings.load({name: value}), name) == value


def test_an_unknown_setting_is_named(config):
    config.write_text('{"prot": 1}')
    with pytest.raises(SettingsError, match="is not a setting"):
        settings.load()


@pytest.mark.parametrize("word", ["no", "NO", "off", "false", "0", "n", "f", False, 0])
def test_people_say_no_in_many_ways(config, word):
    assert settings.load({"git": word}).git is False
    assert settings.load({"git": {"0": "1", "false": "True"}.get(str(word), "yes")}).git is True


def test_other_processes_hear_what_was_told(tmp_path):
    given = settings.Settings(
        home=tmp_path,
        db=tmp_path / "x.db",
        max_bytes=7,
        retention_agents={"a": 1},
        hosts_added={"a.b": settings.AddedHost(speaks="openai", provider="us"), "c.d": "mistral"},
    )
    assert settings.heard(json.loads(json.dumps(given.told()))) == given


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("::1", "http://[::1]:8080"),
        ("::", "http://127.0.0.1:8080"),
        ("192.0.2.7", "http://192.0.2.7:8080"),
    ],
)
def test_links_can_be_opened(host, url):
    assert settings.Settings(host=host).pages_url == url


def test_the_file_that_programs_trust_is_the_authoritys():
    found = settings.Settings()
    assert found.root_file == found.ca_folder / authority.ROOT_FILE


def test_settings_load_nothing_slow():
    """Each process that starts begins with them."""
    code = "import agenttrace_mitm.launch.daemon, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unwanted = {"pydantic", "sqlite3", "cryptography", "agenttrace_mitm.store"}
    assert not unwanted & set(done.stdout.split())
