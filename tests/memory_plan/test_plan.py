"""What the plan adds up, and what it says where it does not fit. On the embedded pair, whose sizes are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.errors import ArtifactError
from app.media import MediaLimits
from app.memory import memory_usage
from app.memory_plan import CutLayers, Limit, MemoryPlan, ServiceSizes, memory_table, plan_memory
from app.memory_plan.parts import EncoderSizes

MIB = 1024**2
SIZES = ServiceSizes(
    knowledge_bytes=MIB, fusion_bytes=10 * MIB, media=MediaLimits(), media_threads=2, bodies_bytes=64 * MIB
)
TRAINED = CutLayers(8, 11)


def planned(
    pair: Path,
    *limits: Limit,
    cut_layers: CutLayers | None = TRAINED,
    prepared: bool = True,
    sizes: ServiceSizes = SIZES,
) -> MemoryPlan:
    chosen = limits or (Limit("MAX_MEMORY", 8 * 1024 * MIB),)
    return plan_memory(pair / "omni", pair / "medical", sizes, chosen, cut_layers=cut_layers, prepared=prepared)


def heaped(pair: Path, *limits: Limit, **options: Any) -> MemoryPlan:
    """Weights on the heap: every layer counts at the busiest moment."""
    return planned(pair, *limits, prepared=False, **options)


def bytes_of(plan: MemoryPlan, name: str) -> int:
    return next(part.bytes for part in plan.parts if part.name.startswith(name))


def test_weights_are_counted_to_the_byte(embedded_pair: Path) -> None:
    plan = planned(embedded_pair)
    data = (embedded_pair / "medical/decoder.onnx.data").stat().st_size
    assert data * 0.99 < bytes_of(plan, "medical: 11 of 30 layers") <= data, "all but the padding between tensors"
    towers = sum((embedded_pair / f"omni/{name}.onnx.data").stat().st_size for name in ("vision", "audio"))
    assert towers * 0.9 < bytes_of(plan, "omni: towers") < towers * 1.1
    shallow = planned(embedded_pair, cut_layers=CutLayers(4, 11))
    assert bytes_of(shallow, "omni: 4 of 30 layers") == pytest.approx(bytes_of(plan, "omni: 8 of 30") / 2)


def test_prepared_weights_are_files_and_others_are_not(embedded_pair: Path) -> None:
    for prepared, kind in ((True, "file_backed"), (False, "anonymous")):
        kinds = {part.name: part.kind for part in planned(embedded_pair, prepared=prepared).parts}
        assert {kinds["omni: 8 of 30 layers"], kinds["omni: towers"], kinds["medical: 11 of 30 layers"]} == {kind}
        assert kinds["omni: token embedding in use"] == "file_backed"


def test_larger_limits_on_what_comes_in_plan_for_more(embedded_pair: Path) -> None:
    larger = ServiceSizes(
        knowledge_bytes=MIB,
        fusion_bytes=10 * MIB,
        media=MediaLimits(max_image_pixels=72_000_000),
        media_threads=4,
        bodies_bytes=128 * MIB,
    )
    small, large = planned(embedded_pair), planned(embedded_pair, sizes=larger)
    assert large.loaded == small.loaded
    assert bytes_of(large, "request bodies") == 2 * bytes_of(small, "request bodies")
    assert bytes_of(large, "media decoding") > bytes_of(small, "media decoding") + 150 * MIB
    assert large.total - large.loaded == sum(part.bytes for part in large.parts if part.kind == "working")


def test_what_does_not_fit_is_said_with_what_to_set(embedded_pair: Path) -> None:
    plan = heaped(embedded_pair)
    plan.check()
    total, needed = plan.needed, f"{plan.needed / 1024 / MIB:.1f} GiB"
    target = f"{-(-total * 10 // (1024 * MIB)) / 10:g}GiB"
    refused = heaped(embedded_pair, Limit("MAX_MEMORY", total - 20 * MIB), Limit("machine", 8 * 1024 * MIB))
    allowed = f"{(total - 20 * MIB) / 1024 / MIB:.1f} GiB"
    with pytest.raises(ArtifactError) as caught:
        refused.check()
    assert caught.value.code == "memory_limit_exceeded"
    assert caught.value.params == {
        "reason": f"needs {needed} with omni 8 of 30, medical 11 of 30 layers, {allowed} allowed by MAX_MEMORY: raise "
        f"MAX_MEMORY to {target}, or convert with int4, or cut deeper layers off and train the fusion weights on what "
        "is left (largest that fits: omni 5 of 30, medical 8 of 30 layers)"
    }


def test_every_limit_that_is_in_the_way_is_named(embedded_pair: Path) -> None:
    limits = (Limit("container", 700 * MIB), Limit("MAX_MEMORY", 800 * MIB), Limit("machine", 8 * 1024 * MIB))
    refusal = heaped(embedded_pair, *limits).refusal
    assert refusal is not None
    assert "0.7 GiB allowed by the container" in refusal
    assert "raise the container's limit to " in refusal
    assert "and raise MAX_MEMORY to " in refusal
    assert "machine" not in refusal
    tiny = heaped(embedded_pair, Limit("machine", 300 * MIB)).refusal
    assert tiny is not None
    assert tiny.endswith("not even one layer of each fits: take a machine with more memory")


def test_the_largest_that_fits_does_fit(embedded_pair: Path) -> None:
    limit = Limit("MAX_MEMORY", heaped(embedded_pair).needed - 20 * MIB)
    heaped(embedded_pair, limit, cut_layers=CutLayers(5, 8)).check()
    with pytest.raises(ArtifactError):
        heaped(embedded_pair, limit, cut_layers=CutLayers(6, 9)).check()


def test_before_training_the_deepest_pair_up_to_a_third_is_taken(embedded_pair: Path) -> None:
    assert heaped(embedded_pair, cut_layers=None).cut_layers == CutLayers(8, 10), "the graph of omni holds 8"
    tight = heaped(embedded_pair, Limit("MAX_MEMORY", heaped(embedded_pair).needed - 20 * MIB), cut_layers=None)
    tight.check()
    assert tight.cut_layers.omni < 8
    with pytest.raises(ArtifactError, match="memory_limit_exceeded"):
        heaped(embedded_pair, Limit("machine", 300 * MIB), cut_layers=None).check()


def test_more_layers_than_a_folder_holds_are_refused(embedded_pair: Path) -> None:
    with pytest.raises(ArtifactError, match="model_cut_layer"):
        heaped(embedded_pair, cut_layers=CutLayers(9, 11))


def test_longer_sequences_and_wider_blocks_take_more(embedded_pair: Path) -> None:
    """Both encoders have the same width; the towers of omni are narrower and see more positions."""
    medical = EncoderSizes.read(embedded_pair / "medical")
    spec = medical.manifest.decoder
    outputs = (spec.heads + 2 * spec.kv_heads) * spec.head_dim + 2 * spec.hidden_size + 2 * spec.intermediate_size
    assert medical.activations == 2 * 4 * 528 * outputs
    assert EncoderSizes.read(embedded_pair / "omni").activations >= medical.activations


def test_the_table_is_aligned_and_complete(embedded_pair: Path) -> None:
    plan = heaped(embedded_pair)
    headline, *rows = memory_table(plan).splitlines()
    assert headline == (
        f"memory: {plan.needed / 1024 / MIB:.1f} GiB needed of 8.0 GiB (MAX_MEMORY); "
        "omni 8 of 30, medical 11 of 30 layers"
    )
    assert len(rows) == len(plan.parts)
    assert len({row.index(" MiB") for row in rows}) == 1
    assert all(row.startswith(f"  {part.name}") for row, part in zip(rows, plan.parts, strict=True))


def test_usage_is_read_from_the_kernel(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("VmHWM:\t   10 kB\nRssAnon:\t    4 kB\nRssFile:\t    6 kB\nRssShmem:\t  0 kB\n")
    usage = memory_usage(status)
    assert usage is not None
    assert (usage.anonymous, usage.file_backed) == (4096, 6144)
    status.write_text("VmRSS:\t   10 kB\n")
    assert memory_usage(status) is None
    mine = memory_usage()
    assert mine is not None
    assert mine.anonymous > MIB


def test_what_is_mapped_gives_way_at_the_busiest_moment(embedded_pair: Path) -> None:
    """It has to fit once loaded; the largest case may push it out for its moment, never the heap."""
    plan = planned(embedded_pair)
    heap, mapped, working = (
        sum(part.bytes for part in plan.parts if part.kind == kind) for kind in ("anonymous", "file_backed", "working")
    )
    assert plan.needed == max(heap + mapped, heap + working) < plan.total == heap + mapped + working
    planned(embedded_pair, Limit("MAX_MEMORY", plan.needed)).check()
    with pytest.raises(ArtifactError, match="memory_limit_exceeded"):
        planned(embedded_pair, Limit("MAX_MEMORY", plan.needed - 1)).check()
    assert heaped(embedded_pair).needed > plan.needed, "weights on the heap do not give way"
