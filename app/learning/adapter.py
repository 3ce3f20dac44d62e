"""LoRA on AFNet: which of its layers adapt, and how the result becomes a plain AFNet again.

Low-rank updates (Hu et al., ICLR 2022; library: peft) on every projection of the sources and of the attention blocks.
The heads are trained whole. The statistics of the sources and the linear triage readout stay as the base training left
them.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn

from app.fusion.afnet import AFNet, FusionBlock, SourceEncoder

_HEADS = ("condition_head", "triage_head")


@dataclass(frozen=True, slots=True)
class LoraOptions:
    """`rank` and `alpha` as in the paper: the update is scaled by alpha / rank."""

    rank: int = 8
    alpha: int = 16
    dropout: float = 0.05


@dataclass(frozen=True, slots=True)
class AdapterSummary:
    """What of the network a run may change."""

    target_modules: tuple[str, ...]
    modules_to_save: tuple[str, ...]
    trainable_parameters: int
    total_parameters: int


class AdaptedNetwork:
    """A copy of an AFNet with LoRA adapters; the original is not touched."""

    def __init__(self, network: AFNet, options: LoraOptions) -> None:
        own = copy.deepcopy(network)
        targets, heads = target_modules(own), head_modules(own)
        config = LoraConfig(
            r=options.rank,
            lora_alpha=options.alpha,
            lora_dropout=options.dropout,
            target_modules=list(targets),
            modules_to_save=list(heads),
        )
        total = sum(parameter.numel() for parameter in own.parameters())
        self.model: PeftModel = get_peft_model(own, config)
        trainable = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        self.summary = AdapterSummary(targets, heads, trainable, total)

    @property
    def network(self) -> nn.Module:
        """Call it with a `TokenBatch`, as an AFNet."""
        return self.model

    def parameters(self) -> list[nn.Parameter]:
        """What is trained."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def updates(self) -> list[nn.Parameter]:
        """The low-rank ones."""
        return [value for name, value in self.model.named_parameters() if value.requires_grad and "lora_" in name]

    def heads(self) -> list[nn.Parameter]:
        """The ones of whole layers."""
        return [value for name, value in self.model.named_parameters() if value.requires_grad and "lora_" not in name]

    def state(self) -> dict[str, Tensor]:
        """A copy of what is trained."""
        return {
            name: parameter.detach().clone()
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        own = dict(self.model.named_parameters())
        for name, value in state.items():
            own[name].data.copy_(value)

    def save(self, folder: Path) -> None:
        """The adapter alone, in peft's own layout."""
        self.model.save_pretrained(str(folder))

    def merged(self) -> AFNet:
        """A plain AFNet with the updates added in. The adapters remain as they are."""
        merged: Any = copy.deepcopy(self.model).merge_and_unload()
        assert isinstance(merged, AFNet)  # noqa: S101 - narrows the type for mypy
        for parameter in merged.parameters():
            parameter.requires_grad_(False)
        return merged.eval()


def target_modules(network: AFNet) -> tuple[str, ...]:
    """Dotted names of the linear layers that get a low-rank update."""
    parts = [
        (name, module) for name, module in network.named_modules() if isinstance(module, SourceEncoder | FusionBlock)
    ]
    return tuple(
        f"{name}.{inner}" for name, part in parts for inner, module in part.named_modules() if _is_linear(module)
    )


def head_modules(network: AFNet) -> tuple[str, ...]:
    """Dotted names of the layers that are trained whole."""
    return (*_HEADS, *(f"condition_readouts.{name}.linear" for name in network.condition_readouts))


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)
