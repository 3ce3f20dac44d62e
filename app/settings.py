"""Every setting of the service, read from the environment and from `.env`; `.env.example` explains each one.

Only `app.main`, `app.__main__`, workers and scripts read these: everything else takes constructor arguments.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ByteSize, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.errors import ArtifactError

MIN_API_KEY_CHARS = 16
_MIB = 1024 * 1024

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
CommaList = Annotated[tuple[str, ...], NoDecode]
Keys = Annotated[tuple[SecretStr, ...], NoDecode]
Bytes = Annotated[ByteSize, Field(ge=1)]
CutLayer = Annotated[int, Field(ge=0, le=1024)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Frozen; an environment variable has the field's name in capitals. `load` turns a bad value into one line."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", frozen=True, extra="ignore")

    # where it listens, and who may call
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    api_keys: Keys = ()
    admin_keys: Keys = ()
    allow_unauthenticated_network: bool = False
    cors_origins: CommaList = ()

    # models
    profile: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")] = "embedded"
    qwen_model_path: Path = Path("models/embedded/build/omni")
    mmed_llama_model_path: Path = Path("models/embedded/build/medical")
    fusion_weights_path: Path = Path("models/embedded/fusion")
    versions_dir: Path = Path("models/embedded/versions")
    quantization_type: Literal["any", "none", "fp16", "int8", "int4"] = "any"
    qwen_cut_layer: CutLayer = 0
    mmed_llama_cut_layer: CutLayer = 0
    prepare: Literal["auto", "strict", "off"] = "auto"
    prepared_dir: Path = Path("data/prepared")
    cpu_threads: Annotated[int, Field(ge=0, le=1024)] = 0
    max_memory: Bytes = ByteSize(7 * 1024 * _MIB)
    cache_enabled: bool = True
    cache_dir: Path = Path("data/cache")
    cache_max_bytes: Bytes = ByteSize(256 * _MIB)

    # storage
    database_url: str = "sqlite:///data/medmodal.db"
    store_text: bool = False
    retention_days: Annotated[int, Field(ge=0, le=36_500)] = 0

    # learning
    lora_enabled: bool = True
    lora_r: Annotated[int, Field(ge=1, le=256)] = 8
    lora_alpha: Annotated[int, Field(ge=1, le=1024)] = 16
    lora_dropout: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.05
    learning_data_path: Path = Path("models/embedded/learning")
    learning_min_feedback: Annotated[int, Field(ge=2, le=100_000)] = 20
    learning_key_cap: Count = 100
    learning_label_share: Share = 0.25
    learning_corroboration: Count = 2
    learning_held_out_share: Annotated[float, Field(gt=0, le=0.5, allow_inf_nan=False)] = 0.2
    learning_poll_s: Seconds = 5.0
    learning_lease_s: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)] = 60.0
    learning_max_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    learning_min_free_memory: Bytes = ByteSize(512 * _MIB)

    # load
    queue_size: Count = 8
    request_timeout_s: Seconds = 30.0
    body_timeout_s: Seconds = 20.0
    shutdown_timeout_s: Seconds = 40.0
    media_threads: Annotated[int, Field(ge=1, le=64)] = 2
    max_connections: Annotated[int, Field(ge=1, le=65536)] = 512

    # input limits
    max_body_bytes: Bytes = ByteSize(64 * _MIB)
    max_text_chars: Count = 20_000
    max_image_bytes: Bytes = ByteSize(20 * _MIB)
    max_image_pixels: Count = 36_000_000
    max_audio_bytes: Bytes = ByteSize(25 * _MIB)
    max_audio_seconds: Seconds = 300.0
    max_video_bytes: Bytes = ByteSize(44 * _MIB)
    max_video_seconds: Seconds = 120.0

    # logs
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"

    @field_validator("api_keys", "admin_keys", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("api_keys", "admin_keys")
    @classmethod
    def _long_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(key.get_secret_value()) < MIN_API_KEY_CHARS for key in value):
            raise ValueError(f"each key needs at least {MIN_API_KEY_CHARS} characters")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _named_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any("*" in origin or "://" not in origin for origin in value):
            raise ValueError("name each origin in full, like https://clinic.example; * is not accepted")
        return value

    @model_validator(mode="after")
    def _guarded_network(self) -> Self:
        if not (self.api_keys or self.allow_unauthenticated_network or is_loopback(self.host)):
            raise ValueError(
                "this address reaches beyond this machine but API_KEYS is empty: set API_KEYS, "
                "or ALLOW_UNAUTHENTICATED_NETWORK=true where something else guards the port"
            )
        return self

    @property
    def run_settings(self) -> dict[str, int | float]:
        """What a learning run is made with; kept with the run."""
        return {
            "lora_r": self.lora_r,
            "lora_alpha": self.lora_alpha,
            "lora_dropout": self.lora_dropout,
            "learning_min_feedback": self.learning_min_feedback,
            "learning_key_cap": self.learning_key_cap,
            "learning_label_share": self.learning_label_share,
            "learning_corroboration": self.learning_corroboration,
            "learning_held_out_share": self.learning_held_out_share,
        }

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """ArtifactError("setting_invalid", setting=, reason=) for the first bad value, which itself is not shown."""
        try:
            return cls(**overrides)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            name = str(first["loc"][0]).upper() if first["loc"] else "HOST"
            reason = first["msg"].removeprefix("Value error, ")
            raise ArtifactError("setting_invalid", setting=name, reason=reason) from None


def is_loopback(host: str) -> bool:
    """Whether a listening address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
