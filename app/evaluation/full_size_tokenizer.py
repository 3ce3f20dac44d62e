"""Byte-level BPE tokenizers of any size, special tokens last as in Qwen2.5-Omni and Llama 3.

The first merges are learned from the knowledge base's own texts in both languages, so that a complaint splits into
words and parts of words. The rest only fills the vocabulary to its size: each of those tokens begins with a control
character, which a text does not hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from app.knowledge.base import KnowledgeBase

OMNI_SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>", "<|box_end|>"),
    *("<|quad_start|>", "<|quad_end|>", "<|vision_bos|>", "<|vision_eos|>", "<|vision_pad|>", "<|IMAGE|>", "<|VIDEO|>"),
)
LLAMA_SPECIAL = ("<|begin_of_text|>", "<|end_of_text|>")
_LEARNED = 16_384
_CHAT = " user assistant system\nuser\n"
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's expression."""
_PAD_BYTES = range(14, 30)
"""Control characters that are no white space."""
Merge = tuple[str, str]


def write_omni_tokenizer(folder: Path, text_tokens: int) -> dict[str, int]:
    """tokenizer.json and tokenizer_config.json with `text_tokens` tokens below the special ones; the latter's ids."""
    settings = {
        "tokenizer_class": "Qwen2TokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "model_max_length": 32_768,
    }
    return _write(folder, _build(text_tokens, OMNI_SPECIAL), OMNI_SPECIAL, settings)


def write_llama_tokenizer(folder: Path, text_tokens: int) -> dict[str, int]:
    """The same with Llama 3's special tokens, of which the first is put before every text."""
    tokenizer = _build(text_tokens, LLAMA_SPECIAL)
    begin = LLAMA_SPECIAL[0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A", pair=f"{begin} $A {begin} $B", special_tokens=[(begin, tokenizer.token_to_id(begin))]
    )
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": begin,
        "eos_token": LLAMA_SPECIAL[1],
        "model_max_length": 8192,
    }
    return _write(folder, tokenizer, LLAMA_SPECIAL, settings)


def _write(folder: Path, tokenizer: Tokenizer, special: tuple[str, ...], settings: dict[str, Any]) -> dict[str, int]:
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    return {token: tokenizer.token_to_id(token) for token in special}


def _build(text_tokens: int, special: tuple[str, ...]) -> Tokenizer:
    tokens, merges = _vocabulary(text_tokens)
    ids = {token: position for position, token in enumerate((*tokens, *special))}
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges))
    tokenizer.pre_tokenizer = _splitter()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    return tokenizer


def _vocabulary(size: int) -> tuple[list[str], list[Merge]]:
    """Exactly `size` tokens in id order and the merges that make them."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = _splitter()
    trainer = trainers.BpeTrainer(
        vocab_size=min(size, _LEARNED),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    learner.train_from_iterator(_corpus(), trainer)
    model = json.loads(learner.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    merges: list[Merge] = [(left, right) for left, right in model["merges"]]
    pads = [chr(256 + byte) for byte in _PAD_BYTES]  # how a byte-level vocabulary writes them
    position = 0
    while len(tokens) < size:  # every token again behind every pad: a string that no other pair makes
        for pad in pads[: size - len(tokens)]:
            merges.append((pad, tokens[position]))
            tokens.append(pad + tokens[position])
        position += 1
    return tokens, merges


def _splitter() -> pre_tokenizers.PreTokenizer:
    words = pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated")
    return pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _corpus() -> Iterator[str]:
    knowledge = KnowledgeBase.load()
    yield from [_CHAT] * 64
    for condition in knowledge.conditions.values():
        for language in ("en", "ko"):
            yield condition.name.get(language)
            for level in ("low", "moderate", "high", "critical"):
                yield from knowledge.recommendations(condition.id, level, language)
    for finding in knowledge.findings.values():
        for phrases in (finding.phrases.en, finding.phrases.ko):
            yield from (*phrases.patient, *phrases.clinician)
