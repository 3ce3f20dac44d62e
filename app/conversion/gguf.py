"""GGUF file of architecture `llama` -> config, vocabulary and tensors of a `LlamaForCausalLM`.

Tensors are dequantised one at a time from the memory-mapped file and given as float16. GGUF stores the rows of q and
k for interleaved rotary pairs; transformers turns the two halves of a head, so those rows are put back in order.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from gguf import GGUFReader, dequantize
from gguf.gguf_reader import ReaderTensor

from app.conversion.gguf_tokenizer import GgufVocabulary
from app.encoders.manifest import file_sha256
from app.errors import ArtifactError

FloatMatrix = npt.NDArray[np.float32]

_TOP_LEVEL = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_IN_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """What `config.json` says of the decoder."""

    layers: int
    hidden_size: int
    intermediate_size: int
    heads: int
    kv_heads: int
    max_position: int
    rope_theta: float
    rms_norm_eps: float
    vocab_size: int

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.heads


def find_packaged_gguf(package: str, file_name: str, sha256: str) -> Path:
    """The GGUF file inside an installed package, which is not imported. ArtifactError where missing or different."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ArtifactError("gguf_package_missing", package=package)
    path = Path(spec.origin).parent / file_name
    if not path.is_file():
        raise ArtifactError("gguf_file_missing", package=package, file=file_name)
    if file_sha256(path) != sha256:
        raise ArtifactError("gguf_file_damaged", package=package, file=file_name)
    return path


class GgufLlama:
    """An opened GGUF file: its shape, vocabulary and tensors under transformers' names."""

    def __init__(self, path: Path) -> None:
        try:
            self._reader = GGUFReader(path)
            architecture = self._value("general.architecture")
        except (ValueError, KeyError, IndexError, OSError) as error:
            raise ArtifactError("gguf_unreadable", file=path.name) from error
        if architecture != "llama":
            raise ArtifactError("gguf_architecture_unsupported", file=path.name, architecture=str(architecture))
        self.shape = self._read_shape()
        self.vocabulary = self._read_vocabulary()
        self._tensors = {_hf_name(tensor.name): tensor for tensor in self._reader.tensors}

    @property
    def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
        """transformers' name -> shape, in file order."""
        return {name: tuple(int(n) for n in reversed(tensor.shape)) for name, tensor in self._tensors.items()}

    @property
    def tied_embeddings(self) -> bool:
        return "lm_head.weight" not in self._tensors

    def tensors(self) -> Iterator[tuple[str, npt.NDArray[np.float16]]]:
        """Every tensor dequantised, rows of q and k in transformers' order, as float16."""
        for name in self._tensors:
            yield name, self.tensor(name)

    def tensor(self, name: str) -> npt.NDArray[np.float16]:
        """One tensor by transformers' name."""
        weight = _dequantised(self._tensors[name])
        if name.endswith("q_proj.weight"):
            weight = unpermute(weight, self.shape.heads)
        elif name.endswith("k_proj.weight"):
            weight = unpermute(weight, self.shape.kv_heads)
        return weight.astype(np.float16)

    def _value(self, key: str, default: Any = None) -> Any:
        field = self._reader.fields.get(key)
        if field is not None:
            return field.contents()
        if default is None:
            raise KeyError(key)
        return default

    def _read_shape(self) -> LlamaShape:
        try:
            heads = int(self._value("llama.attention.head_count"))
            return LlamaShape(
                layers=int(self._value("llama.block_count")),
                hidden_size=int(self._value("llama.embedding_length")),
                intermediate_size=int(self._value("llama.feed_forward_length")),
                heads=heads,
                kv_heads=int(self._value("llama.attention.head_count_kv", heads)),
                max_position=int(self._value("llama.context_length")),
                rope_theta=float(self._value("llama.rope.freq_base", 10_000.0)),
                rms_norm_eps=float(self._value("llama.attention.layer_norm_rms_epsilon")),
                vocab_size=len(self._value("tokenizer.ggml.tokens")),
            )
        except KeyError as error:
            raise ArtifactError("gguf_field_missing", field=str(error.args[0])) from error

    def _read_vocabulary(self) -> GgufVocabulary:
        try:
            return GgufVocabulary(
                tokens=tuple(self._value("tokenizer.ggml.tokens")),
                types=tuple(int(kind) for kind in self._value("tokenizer.ggml.token_type")),
                merges=tuple(self._value("tokenizer.ggml.merges")),
                scheme=str(self._value("tokenizer.ggml.pre")),
                bos=int(self._value("tokenizer.ggml.bos_token_id")),
                eos=int(self._value("tokenizer.ggml.eos_token_id")),
                pad=int(self._value("tokenizer.ggml.padding_token_id", self._value("tokenizer.ggml.eos_token_id"))),
                chat_template=str(self._value("tokenizer.chat_template", "")),
            )
        except KeyError as error:
            raise ArtifactError("gguf_field_missing", field=str(error.args[0])) from error


def unpermute(weight: FloatMatrix, heads: int) -> FloatMatrix:
    """Rows of a q or k projection (heads * head_dim, hidden): interleaved rotary pairs -> two halves per head."""
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows, columns)


def _dequantised(tensor: ReaderTensor) -> FloatMatrix:
    values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
    return np.asarray(values.reshape(tuple(int(n) for n in reversed(tensor.shape))))


def _hf_name(name: str) -> str:
    """`blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight`. ArtifactError for any other."""
    if name in _TOP_LEVEL:
        return _TOP_LEVEL[name]
    match name.split("."):
        case ["blk", layer, part, "weight"] if part in _IN_BLOCK:
            return f"model.layers.{layer}.{_IN_BLOCK[part]}.weight"
    raise ArtifactError("gguf_tensor_unsupported", tensor=name)


def llama_config(gguf: GgufLlama) -> dict[str, object]:
    """`config.json` of the checkpoint."""
    shape = gguf.shape
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.intermediate_size,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "max_position_embeddings": shape.max_position,
        "rope_theta": shape.rope_theta,
        "rms_norm_eps": round(shape.rms_norm_eps, 12),
        "vocab_size": shape.vocab_size,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": gguf.tied_embeddings,
        "bos_token_id": gguf.vocabulary.bos,
        "eos_token_id": gguf.vocabulary.eos,
        "pad_token_id": gguf.vocabulary.pad,
        "dtype": "float16",
    }
