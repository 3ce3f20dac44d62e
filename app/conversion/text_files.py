"""The small files of a model folder: tokenizer and processor settings."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.conversion.checkpoint import invalid, read_json

TOKENIZER_NAME = "tokenizer.json"
EMBEDDING_NAME = "token_embedding.npy"
COPIED_NAMES = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.json",
    "chat_template.jinja",
)


def copy_settings(checkpoint: Path, output: Path) -> None:
    """Copy the settings that are there; ArtifactError for one that is not JSON."""
    for name in COPIED_NAMES:
        source = checkpoint / name
        if source.is_file():
            if source.suffix == ".json":
                read_json(source)
            shutil.copyfile(source, output / name)


def load_tokenizer(checkpoint: Path) -> Any:
    """The checkpoint's fast tokenizer, built from its older files where it has no tokenizer.json.

    ArtifactError where there is none. Reads local files only.
    """
    import transformers

    hub: Any = transformers  # its tokenizer classes are untyped
    is_sentencepiece = (checkpoint / "tokenizer.model").is_file() and not (checkpoint / TOKENIZER_NAME).is_file()
    if is_sentencepiece and find_spec("sentencepiece") is None:
        raise invalid(checkpoint, "it has only a tokenizer.model: install the package sentencepiece to have it read")
    try:
        if (checkpoint / TOKENIZER_NAME).is_file() and not (checkpoint / "tokenizer_config.json").is_file():
            return hub.PreTrainedTokenizerFast(tokenizer_file=str(checkpoint / TOKENIZER_NAME))
        tokenizer = hub.AutoTokenizer.from_pretrained(
            checkpoint, use_fast=True, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # transformers and tokenizers raise bare Exception for a damaged file
        raise invalid(checkpoint, f"the tokenizer cannot be read: {error}") from error
    if not tokenizer.is_fast:
        raise invalid(checkpoint, "the tokenizer has no fast form")
    return tokenizer


def write_tokenizer(tokenizer: Any, output: Path) -> None:
    """tokenizer.json with every added token, no truncation and no padding."""
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.save(str(output / TOKENIZER_NAME))


def leading_token(tokenizer: Any, checkpoint: Path) -> int | None:
    """The token that the tokenizer puts before every text, if it does. ArtifactError for anything but one or none."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    ids = tokenizer("a")["input_ids"]
    added = len(ids) - len(plain)
    if added not in {0, 1} or ids[added:] != plain:
        raise invalid(checkpoint, "the tokenizer adds more than one leading token to a text")
    return int(ids[0]) if added else None
