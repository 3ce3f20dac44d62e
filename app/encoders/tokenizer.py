"""The checkpoint's tokenizer, split in two: the prompt that we write, and the text that a user writes.

Our prefix may hold special tokens. The user's text may not: it is encoded by a copy of the tokenizer that knows no
added token, so `<|im_end|>` or `<|IMAGE|>` in a complaint is ordinary text and cannot end a turn or stand for media.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tokenizers import Tokenizer

from app.encoders.manifest import Manifest
from app.errors import ArtifactError, InvalidInputError

TOKENIZER_NAME = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class PromptTokenizer:
    """`prefix` and `suffix` are token ids; `plain` encodes the user's text."""

    plain: Tokenizer
    prefix: tuple[int, ...]
    """Beginning-of-sequence token, if the checkpoint has one, and the prompt prefix. Encoded on its own, so a prefix
    should end where a token ends: with a newline or a special token, not with a space."""
    suffix: tuple[int, ...]

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> Self:
        """ArtifactError where the file is missing or damaged, does not fit the embedding table, or its copy without
        added tokens would still give one."""
        path = folder / TOKENIZER_NAME
        try:
            definition = json.loads(path.read_bytes())
            full = Tokenizer.from_str(json.dumps(definition))
            plain = Tokenizer.from_str(json.dumps(_without_added_tokens(definition)))
        except Exception as error:  # the Rust side raises bare Exception for a file it cannot read
            raise ArtifactError("model_tokenizer_invalid", file=str(path)) from error
        special = {token["id"]: token["content"] for token in definition.get("added_tokens") or ()}
        _check(plain, special, full.get_vocab_size(with_added_tokens=True), manifest, path)
        bos = () if manifest.bos_token_id is None else (manifest.bos_token_id,)
        return cls(
            plain,
            (*bos, *full.encode(manifest.prompt_prefix, add_special_tokens=False).ids),
            tuple(full.encode(manifest.prompt_suffix, add_special_tokens=False).ids),
        )

    def encode(self, text: str) -> list[int]:
        """Ids of the text alone, without surrounding white space; empty where nothing is left.

        InvalidInputError for half a surrogate pair, which JSON can carry and UTF-8 cannot.
        """
        stripped = text.strip()
        try:
            stripped.encode()
        except UnicodeEncodeError:
            raise InvalidInputError("text_not_unicode") from None  # the error holds the text
        return list(self.plain.encode(stripped, add_special_tokens=False).ids) if stripped else []


def _without_added_tokens(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {**definition, "added_tokens": [], "post_processor": None, "truncation": None, "padding": None}


def _check(plain: Tokenizer, special: Mapping[int, str], size: int, manifest: Manifest, path: Path) -> None:
    rows = manifest.decoder.vocab_size
    if max([size - 1, *special]) >= rows:
        raise ArtifactError("model_tokenizer_mismatch", file=str(path), reason=f"more tokens than {rows} embeddings")
    for content in special.values():
        texts = (content, f"a{content}")  # Llama 2's tokenizer puts a space before a text: look behind a letter too
        ids = {token for text in texts for token in plain.encode(text, add_special_tokens=False).ids}
        if len(content) > 1 and any(token in special and plain.id_to_token(token) == content for token in ids):
            raise ArtifactError("model_tokenizer_unsafe", file=str(path), reason=f"text can give {content}")
