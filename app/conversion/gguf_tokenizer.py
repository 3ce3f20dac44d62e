"""Byte-level BPE vocabulary of a GGUF file -> `tokenizer.json` and `tokenizer_config.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tokenizers import AddedToken, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits
from tokenizers.pre_tokenizers import Sequence as PreTokenizers

from app.errors import ArtifactError

CONTROL_TOKEN = 3
"""`token_type` of a token that stands for no text."""
_SCHEMES = frozenset({"smollm"})
"""`tokenizer.ggml.pre` values whose splitting is known here: single digits, then GPT-2's expression."""


@dataclass(frozen=True, slots=True)
class GgufVocabulary:
    """Tokens in id order with their types, merges in rank order, and the special ids."""

    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...]
    scheme: str
    bos: int
    eos: int
    pad: int
    chat_template: str

    def renamed(self, names: Mapping[str, str]) -> GgufVocabulary:
        """The same vocabulary with control tokens renamed, ids unchanged.

        ArtifactError where an old name is no control token or a new name is taken.
        """
        index = {token: position for position, token in enumerate(self.tokens)}
        tokens = list(self.tokens)
        for old, new in names.items():
            if old not in index or self.types[index[old]] != CONTROL_TOKEN or new in index:
                raise ArtifactError("tokenizer_rename_impossible", token=old, name=new)
            tokens[index[old]] = new
        return replace(self, tokens=tuple(tokens))


def write_tokenizer(
    vocabulary: GgufVocabulary,
    folder: Path,
    tokenizer_class: str = "PreTrainedTokenizerFast",
    named_tokens: Mapping[str, str] | None = None,
    chat_template: str | None = None,
) -> None:
    """Write the two files. `named_tokens` become attributes of transformers' tokenizer (`image_token`, ...)."""
    build_tokenizer(vocabulary).save(str(folder / "tokenizer.json"))
    config: dict[str, object] = {
        "tokenizer_class": tokenizer_class,
        "bos_token": vocabulary.tokens[vocabulary.bos],
        "eos_token": vocabulary.tokens[vocabulary.eos],
        "pad_token": vocabulary.tokens[vocabulary.pad],
        "unk_token": None,
        "add_prefix_space": False,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 8192,
        "chat_template": vocabulary.chat_template if chat_template is None else chat_template,
    }
    if named_tokens:
        config["extra_special_tokens"] = dict(named_tokens)
    text = json.dumps(config, indent=1, ensure_ascii=False)
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")


def build_tokenizer(vocabulary: GgufVocabulary) -> Tokenizer:
    """The `tokenizers` object. ArtifactError for a splitting scheme that is not known."""
    if vocabulary.scheme not in _SCHEMES:
        raise ArtifactError("gguf_tokenizer_unsupported", scheme=vocabulary.scheme)
    ids = {token: position for position, token in enumerate(vocabulary.tokens)}
    merges = [(left, right) for left, _, right in (merge.partition(" ") for merge in vocabulary.merges)]
    tokenizer = Tokenizer(BPE(vocab=ids, merges=merges))
    tokenizer.pre_tokenizer = PreTokenizers([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = ByteLevelDecoder()
    control = [token for token, kind in zip(vocabulary.tokens, vocabulary.types, strict=True) if kind == CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return tokenizer
