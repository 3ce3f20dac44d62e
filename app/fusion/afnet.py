"""AFNet, the attention-fusion network: a set of evidence tokens in, condition and triage logits out.

Each token comes from one source (`app.domain.Source`), is standardised with that source's training statistics,
projected to the fusion width by that source's own linear layer, and marked with a learned source embedding. A query
token attends over all of them, so any subset of the sources is a valid input. The projections inside the blocks are
plain `nn.Linear` modules on purpose: adapters (LoRA) can target them, which they cannot do inside
`nn.MultiheadAttention`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.domain import Source

TRIAGE_LEVELS = 5
"""KTAS 1 (most urgent) to 5."""


@dataclass(frozen=True, slots=True)
class AFNetConfig:
    """Shape of the network. `source_widths` maps a source name to the width of its raw vectors."""

    source_widths: dict[str, int]
    conditions: int
    width: int = 256
    heads: int = 4
    layers: int = 2
    dropout: float = 0.2
    input_dropout: dict[str, float] = field(default_factory=dict)
    """Per-source dropout on the standardised vector; `dropout` where a source is not named."""
    readout_sources: tuple[str, ...] = ()
    """Sources with a linear condition readout beside the blocks."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        return cls(**{**values, "readout_sources": tuple(values.get("readout_sources", ()))})

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(self.source_widths)


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Evidence tokens of a batch of B cases, grouped by source.

    `values[source]` is (n_source, width_source) float32: every token of that source in the batch;
    `case_index[source]` is (n_source,) int64: which case each belongs to; `slot[source]` is (n_source,) int64: its
    column in the case's token row. `mask` is (B, T) bool, True where a token is present.
    """

    values: dict[str, Tensor]
    case_index: dict[str, Tensor]
    slot: dict[str, Tensor]
    mask: Tensor


@dataclass(frozen=True, slots=True)
class AFNetOutput:
    """condition_logits (B, conditions); triage_logits (B, 4): cumulative, sigmoid(k) = P(level <= k + 1)."""

    condition_logits: Tensor
    triage_logits: Tensor


class SourceEncoder(nn.Module):
    """Standardise, drop, project and mark the tokens of one source."""

    mean: Tensor
    scale: Tensor

    def __init__(self, in_features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(in_features))
        self.register_buffer("scale", torch.ones(in_features))
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(in_features, width)
        self.source_embedding = nn.Parameter(torch.zeros(width))

    def standardise(self, values: Tensor) -> Tensor:
        """(n, in_features) raw -> (n, in_features), clipped at 8 standard deviations."""
        return ((values - self.mean) * self.scale).clamp(-8.0, 8.0)

    def forward(self, values: Tensor) -> Tensor:
        return self.project(self.dropout(self.standardise(values))) + self.source_embedding  # type: ignore[no-any-return]


class FusionBlock(nn.Module):
    """Pre-norm self-attention over the tokens of a case, then a feed-forward layer; residual around both."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * width)
        self.contract = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """tokens (B, T, D), mask (B, T) bool -> (B, T, D)."""
        batch, count, width = tokens.shape
        normed = self.norm_attention(tokens)

        def split(values: Tensor) -> Tensor:  # (B, T, D) -> (B, H, T, D / H)
            return values.view(batch, count, self.heads, width // self.heads).transpose(1, 2)

        attended = functional.scaled_dot_product_attention(
            split(self.query(normed)),
            split(self.key(normed)),
            split(self.value(normed)),
            attn_mask=mask[:, None, None, :],
        )
        tokens = tokens + self.dropout(self.output(attended.transpose(1, 2).reshape(batch, count, width)))
        hidden = functional.gelu(self.expand(self.norm_feed_forward(tokens)))
        return tokens + self.dropout(self.contract(self.dropout(hidden)))  # type: ignore[no-any-return]


class TriageReadout(nn.Module):
    """Triage read linearly from the standardised source vectors, as in a proportional odds model.

    Expert triage is known of hundreds of visits only: too few for the attention blocks alone, enough for this. It is
    fitted by itself (`app.training.triage_readout`) and takes `share` of the cumulative logits; 0: not fitted.
    """

    cuts: Tensor
    slope: Tensor
    share: Tensor

    def __init__(self, source_widths: dict[str, int]) -> None:
        super().__init__()
        self.weights = nn.ModuleDict(
            {_module_name(name): nn.Linear(width, 1, bias=False) for name, width in source_widths.items()}
        )
        for weight in self.parameters():
            nn.init.zeros_(weight)
            weight.requires_grad_(False)
        self.register_buffer("cuts", torch.zeros(TRIAGE_LEVELS - 1))
        self.register_buffer("slope", torch.ones(()))
        self.register_buffer("share", torch.zeros(()))

    def weight(self, source: str) -> nn.Linear:
        module = self.weights[_module_name(source)]
        assert isinstance(module, nn.Linear)  # noqa: S101 - narrows the type for mypy
        return module

    def logits(self, score: Tensor) -> Tensor:
        """Summed scores (B, 1), higher for less urgent -> cumulative logits (B, 4)."""
        return self.slope * (self.cuts - score)


class ConditionReadout(nn.Module):
    """One source's linear say about the few conditions that it was fitted on (`app.training.condition_readout`).

    Between them it takes `share` of the log odds; how probable they are together stays with the blocks. For sources of
    which so few train cases exist that the blocks learn them by heart. It speaks where the case has nothing else but
    vital signs: beside a text the blocks weigh the two. share 0: not fitted.
    """

    known: Tensor
    share: Tensor

    def __init__(self, in_features: int, conditions: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, conditions)
        for parameter in self.linear.parameters():
            nn.init.zeros_(parameter)
            parameter.requires_grad_(False)
        self.register_buffer("known", torch.zeros(conditions, dtype=torch.bool))
        self.register_buffer("share", torch.zeros(()))

    def blend(self, logits: Tensor, rows: Tensor, standardised: Tensor, alone: Tensor) -> Tensor:
        """logits (B, conditions), the cases (n,) that the standardised vectors (n, in_features) belong to, and which
        cases (B,) bool have nothing else -> logits."""
        if not float(self.share):
            return logits
        said = logits.new_zeros(len(logits), int(self.known.sum()))
        counts = logits.new_zeros(len(logits), 1).index_add(0, rows, logits.new_ones(len(rows), 1))
        said = said.index_add(0, rows, self.linear(standardised)[:, self.known]) / counts.clamp_min(1.0)
        own = logits[:, self.known]
        total = own.logsumexp(1, keepdim=True)
        mixed = (1 - self.share) * (own - total) + self.share * said.log_softmax(1)
        result = logits.clone()
        result[:, self.known] = torch.where((counts > 0) & alone[:, None], total + mixed.log_softmax(1), own)
        return result


class AFNet(nn.Module):
    """Attention fusion over a variable set of evidence tokens."""

    def __init__(self, config: AFNetConfig) -> None:
        super().__init__()
        self.config = config
        self.sources = nn.ModuleDict(
            {
                _module_name(name): SourceEncoder(
                    in_features, config.width, config.input_dropout.get(name, config.dropout)
                )
                for name, in_features in config.source_widths.items()
            }
        )
        self.pool_query = nn.Parameter(torch.zeros(config.width))
        self.blocks = nn.ModuleList(
            FusionBlock(config.width, config.heads, config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.condition_head = nn.Linear(config.width, config.conditions)
        self.triage_head = nn.Linear(config.width, 1)
        self.triage_cuts = nn.Parameter(torch.linspace(-1.5, 1.5, TRIAGE_LEVELS - 1))
        self.triage_readout = TriageReadout(config.source_widths)
        self.condition_readouts = nn.ModuleDict(
            {
                _module_name(name): ConditionReadout(config.source_widths[name], config.conditions)
                for name in config.readout_sources
            }
        )

    def source_encoder(self, source: str) -> SourceEncoder:
        module = self.sources[_module_name(source)]
        assert isinstance(module, SourceEncoder)  # noqa: S101 - narrows the type for mypy
        return module

    def condition_readout(self, source: str) -> ConditionReadout:
        module = self.condition_readouts[_module_name(source)]
        assert isinstance(module, ConditionReadout)  # noqa: S101 - narrows the type for mypy
        return module

    def set_statistics(self, source: str, mean: Tensor, std: Tensor) -> None:
        """Install a source's training mean and standard deviation, both (width_source,)."""
        encoder = self.source_encoder(source)
        encoder.mean.copy_(mean)
        encoder.scale.copy_(1.0 / std.clamp_min(1e-4))

    def forward(self, batch: TokenBatch) -> AFNetOutput:
        cases, count = batch.mask.shape
        width = self.config.width
        tokens = self.pool_query.new_zeros(cases, count + 1, width)  # slot 0 is the pooling query
        tokens[:, 0] = self.pool_query
        for source, values in batch.values.items():
            projected = self.source_encoder(source)(values)
            tokens = tokens.index_put((batch.case_index[source], batch.slot[source] + 1), projected)
        mask = torch.cat([batch.mask.new_ones(cases, 1), batch.mask], dim=1)
        for block in self.blocks:
            tokens = block(tokens, mask)
        pooled = self.dropout(self.norm(self.pool(tokens, mask)))
        cuts = torch.cumsum(torch.cat([self.triage_cuts[:1], functional.softplus(self.triage_cuts[1:])]), dim=0)
        conditions = self.condition_head(pooled)
        for source in self.config.readout_sources:
            if source in batch.values:
                standardised = self.source_encoder(source).standardise(batch.values[source])
                rows, alone = batch.case_index[source], _alone(source, batch)
                conditions = self.condition_readout(source).blend(conditions, rows, standardised, alone)
        return AFNetOutput(conditions, self._with_readout(cuts - self.triage_head(pooled), batch))

    def _with_readout(self, triage_logits: Tensor, batch: TokenBatch) -> Tensor:
        share = self.triage_readout.share
        if not float(share):
            return triage_logits
        return (1 - share) * triage_logits + share * self.triage_readout.logits(self.readout_scores(batch))

    def readout_scores(self, batch: TokenBatch) -> Tensor:
        """(B, 1): what the linear readout sums over a case's tokens."""
        scores = self.pool_query.new_zeros(batch.mask.shape[0], 1)
        for source, values in batch.values.items():
            standardised = self.source_encoder(source).standardise(values)
            scores = scores.index_add(0, batch.case_index[source], self.triage_readout.weight(source)(standardised))
        return scores

    @staticmethod
    def pool(tokens: Tensor, mask: Tensor) -> Tensor:
        """Query token plus the masked mean of all tokens: (B, T, D) -> (B, D)."""
        weights = mask[:, :, None].to(tokens.dtype)
        return tokens[:, 0] + (tokens * weights).sum(1) / weights.sum(1)


def _alone(source: str, batch: TokenBatch) -> Tensor:
    """(B,) bool: cases without a token of another source but vital signs."""
    alone = batch.mask.new_ones(len(batch.mask))
    for other, rows in batch.case_index.items():
        if other not in {source, Source.VITALS.value}:
            alone[rows] = False
    return alone


def triage_probabilities(triage_logits: Tensor) -> Tensor:
    """Cumulative logits (B, 4) -> probabilities of levels 1..5 (B, 5)."""
    cumulative = torch.sigmoid(triage_logits)
    padded = torch.cat([torch.zeros_like(cumulative[:, :1]), cumulative, torch.ones_like(cumulative[:, :1])], dim=1)
    return (padded[:, 1:] - padded[:, :-1]).clamp_min(0.0)


def _module_name(source: str) -> str:
    """Source names hold '/', which module names may, but adapters match on '.': keep them flat."""
    return source.replace("/", "_")
