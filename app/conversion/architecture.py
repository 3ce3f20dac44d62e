"""Reading config.json: which class a checkpoint holds, its shapes, and the tensors that a conversion needs.

Defaults of absent fields, and the scaled rotary frequencies, are transformers' own: its config classes and rope
functions are asked, none of its model classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.conversion.checkpoint import Checkpoint, invalid
from app.encoders.manifest import Architecture, DecoderSpec, a_third
from app.errors import ArtifactError

OMNI = "Qwen2_5OmniThinkerForConditionalGeneration"
FULL_OMNI = frozenset({"Qwen2_5OmniForConditionalGeneration", "Qwen2_5OmniModel"})
"""The second is what the published 7B checkpoint calls itself."""
CLASSES: Mapping[str, Architecture] = {
    **dict.fromkeys((OMNI, *FULL_OMNI), "Qwen2_5OmniThinkerForConditionalGeneration"),
    **dict.fromkeys(("LlamaForCausalLM", "LlamaModel", "LLaMAForCausalLM"), "LlamaForCausalLM"),
    **dict.fromkeys(("MistralForCausalLM", "MistralModel"), "MistralForCausalLM"),
    **dict.fromkeys(("Qwen2ForCausalLM", "Qwen2Model"), "Qwen2ForCausalLM"),
}
"""What config.json may say -> the class. A `...Model` is the decoder alone, as text embedders are published; the one in
capitals was written by the first conversions of Llama."""
CONFIG_ERRORS = (TypeError, ValueError, ZeroDivisionError, AttributeError, KeyError)
"""What transformers' config classes and the arithmetic on their fields raise for a value of the wrong kind."""
HEAD_DIM_STEP = 16
"""GroupQueryAttention's fused rotary asks for it."""
ROPE_TYPES = frozenset({"default", "linear", "dynamic", "llama3"})
"""The scalings that are a fixed change of the frequencies. "dynamic" changes them for sequences longer than
`max_position` only, and those are not taken; "yarn" and "longrope" scale the attention too."""


@dataclass(frozen=True, slots=True)
class DecoderLayout:
    """A decoder's spec and where its tensors are. `prefix` ends with a dot."""

    spec: DecoderSpec
    prefix: str
    qkv_bias: bool
    output_bias: bool
    mlp_bias: bool
    sliding_layers: frozenset[int]
    """Layers whose attention looks back at most `spec.sliding_window` tokens."""

    def layer(self, index: int) -> str:
        return f"{self.prefix}layers.{index}."

    @property
    def embedding(self) -> str:
        return f"{self.prefix}embed_tokens.weight"

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of everything that the cut decoder and the token embedding read."""
        spec = self.spec
        shapes: dict[str, tuple[int, ...]] = {self.embedding: (spec.vocab_size, spec.hidden_size)}
        for index in range(spec.cut_layer):
            shapes |= self._layer_tensors(self.layer(index))
        if spec.cut_layer == spec.layers:
            shapes[f"{self.prefix}norm.weight"] = (spec.hidden_size,)
        return shapes

    def _layer_tensors(self, layer: str) -> dict[str, tuple[int, ...]]:
        spec = self.spec
        query, value = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
        wide, narrow = spec.intermediate_size, spec.hidden_size
        linears = {
            "self_attn.q_proj": (query, narrow, self.qkv_bias),
            "self_attn.k_proj": (value, narrow, self.qkv_bias),
            "self_attn.v_proj": (value, narrow, self.qkv_bias),
            "self_attn.o_proj": (narrow, query, self.output_bias),
            "mlp.gate_proj": (wide, narrow, self.mlp_bias),
            "mlp.up_proj": (wide, narrow, self.mlp_bias),
            "mlp.down_proj": (narrow, wide, self.mlp_bias),
        }
        shapes: dict[str, tuple[int, ...]] = {
            f"{layer}{norm}.weight": (narrow,) for norm in ("input_layernorm", "post_attention_layernorm")
        }
        for name, (rows, width, bias) in linears.items():
            shapes[f"{layer}{name}.weight"] = (rows, width)
            if bias:
                shapes[f"{layer}{name}.bias"] = (rows,)
        return shapes


def architecture_of(checkpoint: Checkpoint) -> Architecture:
    """The manifest's class name. ArtifactError for any other class and for a checkpoint that is already quantised."""
    names = checkpoint.config.get("architectures")
    name = names[0] if isinstance(names, list) and len(names) == 1 else None
    if "quantization_config" in checkpoint.config:
        raise unsupported(checkpoint, "it is quantised already; the original weights are needed")
    if isinstance(name, str) and name in CLASSES:
        return CLASSES[name]
    raise unsupported(checkpoint, f"architectures is {names!r}")


def thinker_prefix(checkpoint: Checkpoint) -> str:
    """ "thinker." where the thinker lies inside a full omni folder, else ""."""
    return "thinker." if _is_full_omni(checkpoint.config) else ""


def _decoder_prefix(checkpoint: Checkpoint) -> str:
    """Where the decoder's tensors are: under "model.", but a decoder saved alone has no name for itself."""
    root = thinker_prefix(checkpoint)
    return root if f"{root}embed_tokens.weight" in checkpoint else f"{root}model."


def parse_config(checkpoint: Checkpoint, architecture: Architecture) -> Any:
    """The transformers config object: of a thinker, also where it lies inside a full omni folder."""
    from transformers import LlamaConfig, MistralConfig, Qwen2_5OmniThinkerConfig, Qwen2Config

    classes = {
        OMNI: Qwen2_5OmniThinkerConfig,
        "LlamaForCausalLM": LlamaConfig,
        "Qwen2ForCausalLM": Qwen2Config,
        "MistralForCausalLM": MistralConfig,
    }
    raw = checkpoint.config
    if _is_full_omni(raw):
        raw = raw.get("thinker_config", {})
    try:
        return classes[architecture](**raw)
    except CONFIG_ERRORS as error:
        raise invalid(checkpoint.folder, f"config.json is not a {architecture} config: {error}") from error


def decoder_layout(
    checkpoint: Checkpoint, architecture: Architecture, config: Any, cut_layer: int | Literal["third"] | None
) -> DecoderLayout:
    """Everything about the decoder that its graph needs. `cut_layer` None: all layers, "third": a third of them.

    ArtifactError where the config asks for something that the graph does not do.
    """
    text = config.text_config if architecture == OMNI else config
    layers = text.num_hidden_layers
    cut = layers if cut_layer is None else a_third(layers) if cut_layer == "third" else cut_layer
    if not 1 <= cut <= layers:
        raise ArtifactError("conversion_cut_layer", cut_layer=cut, layers=layers)
    if text.hidden_act != "silu":
        raise unsupported(checkpoint, f"hidden_act is {text.hidden_act!r}")
    if _head_dim(text) % HEAD_DIM_STEP:
        raise unsupported(checkpoint, f"the width of a head is no multiple of {HEAD_DIM_STEP}")
    sliding = _sliding_layers(architecture, text)
    is_llama = architecture == "LlamaForCausalLM"
    attention_bias = is_llama and bool(text.attention_bias)
    return DecoderLayout(
        spec=_decoder_spec(checkpoint, text, cut, sliding),
        prefix=_decoder_prefix(checkpoint),
        qkv_bias=attention_bias or architecture in {OMNI, "Qwen2ForCausalLM"},
        output_bias=attention_bias,
        mlp_bias=is_llama and bool(text.mlp_bias),
        sliding_layers=sliding,
    )


def unsupported(checkpoint: Checkpoint, reason: str) -> ArtifactError:
    """The error for a checkpoint that is whole but of a kind that is not converted."""
    return ArtifactError("checkpoint_unsupported", reason=" ".join(reason.split()), folder=str(checkpoint.folder))


def _decoder_spec(checkpoint: Checkpoint, text: Any, cut_layer: int, sliding: frozenset[int]) -> DecoderSpec:
    return DecoderSpec(
        hidden_size=text.hidden_size,
        intermediate_size=text.intermediate_size,
        layers=text.num_hidden_layers,
        cut_layer=cut_layer,
        heads=text.num_attention_heads,
        kv_heads=text.num_key_value_heads,
        head_dim=_head_dim(text),
        vocab_size=text.vocab_size,
        rms_norm_eps=text.rms_norm_eps,
        rope_theta=text.rope_theta,
        rope_inv_freq=_inverse_frequencies(checkpoint, text),
        mrope_section=_mrope_section(text),
        max_position=text.max_position_embeddings,
        sliding_window=text.sliding_window if sliding else None,
    )


def _head_dim(text: Any) -> int:
    width: int = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return width


def _inverse_frequencies(checkpoint: Checkpoint, text: Any) -> tuple[float, ...]:
    """(head_dim / 2,) as transformers computes them; ArtifactError for a scaling that depends on the sequence."""
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaling = _rope_scaling(text)
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    kind = "default" if kind == "mrope" else kind
    if kind not in ROPE_TYPES:
        raise unsupported(checkpoint, f"rope_scaling type is {kind!r}")
    try:
        frequencies, _ = ROPE_INIT_FUNCTIONS[kind](text, torch.device("cpu"))
    except (KeyError, TypeError, ValueError) as error:
        raise invalid(checkpoint.folder, f"rope_scaling cannot be used: {error}") from error
    if not (frequencies.isfinite().all() and (frequencies > 0).all()):
        raise invalid(checkpoint.folder, "rope_theta or rope_scaling gives no usable frequencies")
    return tuple(frequencies.double().tolist())


def _rope_scaling(text: Any) -> Mapping[str, Any]:
    """Empty where there is none; Mistral's config class does not even have the field."""
    return getattr(text, "rope_scaling", None) or {}


def _mrope_section(text: Any) -> tuple[int, ...] | None:
    section = _rope_scaling(text).get("mrope_section")
    return None if section is None else tuple(section)


def _sliding_layers(architecture: Architecture, text: Any) -> frozenset[int]:
    """Mistral's window holds for every layer, Qwen2's for the layers that its config lists, Llama has none."""
    if architecture == "LlamaForCausalLM" or text.sliding_window is None:
        return frozenset()
    if architecture == "MistralForCausalLM":
        return frozenset(range(text.num_hidden_layers))
    return frozenset(index for index, kind in enumerate(text.layer_types) if kind == "sliding_attention")


def _is_full_omni(config: Mapping[str, Any]) -> bool:
    names = config.get("architectures")
    return isinstance(names, list) and bool(FULL_OMNI.intersection(names))
