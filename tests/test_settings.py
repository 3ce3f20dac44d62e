"""Settings: documented, read by someone, and refused with one clear line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.errors import ArtifactError
from app.settings import Settings, is_loopback

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / ".env.example"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - that this is refused is what is tested


def example_values() -> dict[str, str]:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Z_]+=", line))


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings.load(_env_file=None)


def test_example_and_settings_name_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(example_values()) == {name.upper() for name in Settings.model_fields}


def test_example_states_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, **example_values()) == load(monkeypatch)


def test_every_setting_is_explained() -> None:
    """A comment stands above each setting, or above the group of settings that it begins."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if re.match(r"[A-Z_]+=", line):
            above = next(before for before in reversed(lines[:number]) if not re.match(r"[A-Z_]+=", before))
            assert above.startswith("# "), line


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_has_a_reader(name: str) -> None:
    names = ("main", "__main__", "wiring", "served", "serving_version")
    readers = [ROOT / f"app/{module}.py" for module in names]
    readers += (ROOT / "app/learning").glob("*.py")
    read = any(f"settings.{name}" in path.read_text(encoding="utf-8") for path in readers)
    checked = f"self.{name}" in (ROOT / "app/settings.py").read_text(encoding="utf-8")
    assert read or checked


def test_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch, PORT="9000", MAX_BODY_BYTES="8MiB", LOG_LEVEL="debug", API_KEYS=f"{'a' * 16}, {'b' * 16},"
    )
    assert (settings.port, settings.max_body_bytes, settings.log_level) == (9000, 8 * 1024 * 1024, "DEBUG")
    assert [key.get_secret_value() for key in settings.api_keys] == ["a" * 16, "b" * 16]


def test_dotenv_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    load(monkeypatch)
    (tmp_path / ".env").write_text("QUEUE_SIZE=3\nSOMETHING_ELSE=1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert Settings.load().queue_size == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("QUEUE_SIZE", "0"),
        ("REQUEST_TIMEOUT_S", "nan"),
        ("REQUEST_TIMEOUT_S", "-1"),
        ("MAX_BODY_BYTES", "big"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "LOUD"),
        ("STORE_TEXT", "perhaps"),
        ("RETENTION_DAYS", "-1"),
        ("LORA_R", "0"),
        ("LORA_DROPOUT", "1"),
        ("LORA_ALPHA", "0.5"),
        ("LEARNING_MIN_FEEDBACK", "1"),
        ("LEARNING_LABEL_SHARE", "0"),
        ("LEARNING_HELD_OUT_SHARE", "0.6"),
        ("LEARNING_LEASE_S", "0.5"),
        ("LEARNING_MIN_FREE_MEMORY", "much"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "clinic.example"),
        ("API_KEYS", "short"),
        ("ADMIN_KEYS", f"{'k' * 16},short"),
        ("PROFILE", "a label with spaces"),
        ("HOST", EVERYWHERE),
        ("HOST", "192.168.1.5"),
    ],
)
def test_bad_value_is_one_line_that_names_it_and_does_not_show_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(ArtifactError) as caught:
        load(monkeypatch, **{name: value})
    assert caught.value.code == "setting_invalid"
    assert caught.value.params["setting"] == name
    assert "\n" not in str(caught.value)
    if name.endswith("_KEYS"):
        assert value not in str(caught.value)


def test_network_needs_keys_or_an_explicit_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Admin keys alone do not do: cases would still be taken from anyone."""
    with pytest.raises(ArtifactError):
        load(monkeypatch, HOST=EVERYWHERE, ADMIN_KEYS="k" * 16)
    assert load(monkeypatch, HOST=EVERYWHERE, API_KEYS="k" * 16).host == EVERYWHERE
    assert load(monkeypatch, HOST=EVERYWHERE, ALLOW_UNAUTHENTICATED_NETWORK="true").host == EVERYWHERE


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "10.0.0.1", "example.org", ""])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_settings_are_frozen_and_hide_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, API_KEYS="k" * 16, ADMIN_KEYS="k" * 20)
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]
    assert "kkkk" not in repr(settings)
