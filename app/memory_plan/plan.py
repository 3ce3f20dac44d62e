"""The plan: what every part takes, whether all of it fits, and what to set where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import ArtifactError
from app.memory_plan.cut_layers import CutLayers, largest_that_fits, near_a_third
from app.memory_plan.limit import Limit
from app.memory_plan.parts import EncoderSizes, Part, PartKind, ServiceSizes, base_parts, working_parts

GIB = 1024**3
MAX_MEMORY = "MAX_MEMORY"


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """`parts` in the order of the life of the process; `limits` the strictest first."""

    limits: tuple[Limit, ...]
    cut_layers: CutLayers
    """Layers of each encoder that run."""
    checkpoint_layers: CutLayers
    """Layers that the checkpoints have."""
    parts: tuple[Part, ...]
    refusal: str | None
    """One line that says what does not fit and what to set."""

    @property
    def limit(self) -> Limit:
        return self.limits[0]

    @property
    def total(self) -> int:
        """Bytes at the busiest moment, if nothing gave way."""
        return sum(part.bytes for part in self.parts)

    @property
    def loaded(self) -> int:
        """Bytes as soon as the service is ready."""
        return _sum(self.parts, "anonymous", "file_backed")

    @property
    def needed(self) -> int:
        """What has to fit: see `needed_bytes`."""
        return needed_bytes(self.parts)

    def check(self) -> None:
        """ArtifactError("memory_limit_exceeded") where the plan does not fit."""
        if self.refusal is not None:
            raise ArtifactError("memory_limit_exceeded", reason=self.refusal)

    def depths(self) -> str:
        return _depths(self.cut_layers, self.checkpoint_layers)


def needed_bytes(parts: Sequence[Part]) -> int:
    """Bytes that have to fit: everything that is loaded, so that no case reads weights from disk; and, at the busiest
    moment, everything that is on the heap, so that nothing is killed. What is mapped gives way for that moment.
    """
    return max(_sum(parts, "anonymous", "file_backed"), _sum(parts, "anonymous", "working"))


def _sum(parts: Sequence[Part], *kinds: PartKind) -> int:
    return sum(part.bytes for part in parts if part.kind in kinds)


def plan_memory(
    omni: Path,
    medical: Path,
    sizes: ServiceSizes,
    limits: Sequence[Limit],
    *,
    cut_layers: CutLayers | None,
    prepared: bool,
) -> MemoryPlan:
    """`cut_layers` None: nothing is trained yet, and the deepest pair up to a third of each depth that fits is taken.

    `prepared`: weights are mapped from files. ArtifactError for a model folder that is not whole, and for one that
    holds fewer layers than asked for.
    """
    planner = _Planner(EncoderSizes.read(omni), EncoderSizes.read(medical), sizes, tuple(limits), prepared=prepared)
    if cut_layers is not None:
        planner.check_held(cut_layers)
        return planner.plan(cut_layers)
    wanted = near_a_third(planner.depths, planner.held)
    return planner.plan(planner.largest(wanted) or CutLayers(1, 1))


class _Planner:
    """One pair of folders against one set of limits."""

    def __init__(
        self,
        omni: EncoderSizes,
        medical: EncoderSizes,
        sizes: ServiceSizes,
        limits: tuple[Limit, ...],
        *,
        prepared: bool,
    ) -> None:
        self._omni, self._medical = omni, medical
        self._base, self._working = base_parts(sizes), working_parts(sizes, (omni, medical))
        self._limits, self._prepared = limits, prepared
        self.depths = CutLayers(omni.manifest.decoder.layers, medical.manifest.decoder.layers)
        self.held = CutLayers(len(omni.layers), len(medical.layers))

    def plan(self, cut: CutLayers) -> MemoryPlan:
        parts = self._parts(cut)
        refusal = None if self._fits(cut) else self._refusal(cut, needed_bytes(parts))
        return MemoryPlan(self._limits, cut, self.depths, parts, refusal)

    def largest(self, most: CutLayers) -> CutLayers | None:
        return largest_that_fits(most, self._fits)

    def check_held(self, cut: CutLayers) -> None:
        for asked, held in ((cut.omni, self.held.omni), (cut.medical, self.held.medical)):
            if asked > held:
                raise ArtifactError("model_cut_layer", asked=asked, held=held)

    def _parts(self, cut: CutLayers) -> tuple[Part, ...]:
        omni = self._omni.parts("omni", cut.omni, prepared=self._prepared)
        medical = self._medical.parts("medical", cut.medical, prepared=self._prepared)
        return (*self._base, *omni, *medical, *self._working)

    def _fits(self, cut: CutLayers) -> bool:
        return needed_bytes(self._parts(cut)) <= self._limits[0].bytes

    def _refusal(self, cut: CutLayers, needed: int) -> str:
        limit = self._limits[0]
        allowed = f"{_gib(limit.bytes)} allowed by {_limit_name(limit)}"
        return f"needs {_gib(needed)} with {_depths(cut, self.depths)}, {allowed}: {self._advice(cut, needed)}"

    def _advice(self, cut: CutLayers, needed: int) -> str:
        ways = [_raise_limits([limit for limit in self._limits if limit.bytes < needed], needed)]
        fitting = self.largest(cut)
        if fitting is None:
            return f"not even one layer of each fits: {ways[0]}"
        if smaller := _smaller_quantization(self._omni, self._medical):
            ways.append(f"convert with {smaller}")
        ways.append("cut deeper layers off and train the fusion weights on what is left")
        return f"{', or '.join(ways)} (largest that fits: {_depths(fitting, self.depths)})"


def _raise_limits(limits: Sequence[Limit], needed: int) -> str:
    """What would have to be larger, and how large."""
    target = f"{-(-needed * 10 // GIB) / 10:g}GiB"
    by_name = {
        MAX_MEMORY: f"raise MAX_MEMORY to {target}",
        "container": f"raise the container's limit to {target}",
        "machine": "take a machine with more memory",
    }
    return " and ".join(by_name[limit.name] for limit in limits)


def _smaller_quantization(*encoders: EncoderSizes) -> str | None:
    """The next one that would make the larger of the two smaller; None where all is int4."""
    used = {encoder.manifest.quantization for encoder in encoders}
    if used & {"none", "fp16"}:
        return "int8"
    return "int4" if "int8" in used else None


def _limit_name(limit: Limit) -> str:
    return limit.name if limit.name == MAX_MEMORY else f"the {limit.name}"


def _depths(cut: CutLayers, depths: CutLayers) -> str:
    return f"omni {cut.omni} of {depths.omni}, medical {cut.medical} of {depths.medical} layers"


def _gib(count: int) -> str:
    return f"{count / GIB:.1f} GiB"
