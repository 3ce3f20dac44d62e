"""Tiny checkpoints with the quirks of published ones: old tokenizers, old file formats, odd names."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import sentencepiece
import torch
from safetensors.torch import load_file, save_file

from tests.checkpoints import CORPUS

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
PIECES = 420


def rewrite_weights(
    folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], *, pickled: bool = False
) -> Path:
    """Put one file with the changed tensors in place of a folder's shards."""
    shards = sorted(folder.glob("*.safetensors"))
    weights = change({name: tensor for shard in shards for name, tensor in load_file(shard).items()})
    for path in folder.glob("*.safetensors*"):
        path.unlink()
    if pickled:
        torch.save(weights, folder / "pytorch_model.bin")
    else:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def cast(dtype: torch.dtype) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda weights: {name: tensor.to(dtype) for name, tensor in weights.items()}


def edit_config(folder: Path, **values: object) -> Path:
    """Set fields of config.json; None removes one."""
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    return folder


def write_sentencepiece(folder: Path, **settings: object) -> Path:
    """Give a folder the tokenizer of Llama 2 and Mistral 7B: a `tokenizer.model` of PIECES pieces and nothing faster.

    Byte fallback for what the pieces lack, a space before every text, digits apart. `settings` go into
    tokenizer_config.json.
    """
    for name in TOKENIZER_FILES:
        (folder / name).unlink(missing_ok=True)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*CORPUS, "x</s>y <s> </ s> <0x0A>"] * 20),
        model_writer=model,
        vocab_size=PIECES,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        character_coverage=1.0,
        remove_extra_whitespaces=False,
        split_digits=True,
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    flags = {"add_bos_token": True, "add_eos_token": False, "legacy": True, "clean_up_tokenization_spaces": False}
    config = {"tokenizer_class": "LlamaTokenizer", **tokens, **flags, **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder
