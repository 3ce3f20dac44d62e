"""The artifacts of the full-size benchmark at tiny widths: checkpoints convert and serve, the fusion folder fits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from app.conversion import ConversionRequest, NoProgress, convert
from app.domain import Case, Evidence, Image
from app.encoders.manifest import Manifest
from app.encoders.medical import MedicalEncoder
from app.encoders.omni import OmniEncoder
from app.evaluation.full_size import write_llama_checkpoint, write_omni_checkpoint
from app.evaluation.full_size_build import FullPair, convert_measured
from app.evaluation.full_size_cases import KINDS, CaseMaker
from app.evaluation.full_size_fusion import write_random_fusion
from app.evaluation.full_size_shapes import LLAMA_3_8B, OMNI_7B, OmniShape, TextShape, TowerShape
from app.fusion.artifact import EncoderIdentity
from app.fusion.predictor import FusionPredictor

TINY_OMNI = OmniShape(
    text=TextShape(128, 256, 3, 4, 2, 2400, 2000, 1e6, 1e-6, 4096, qkv_bias=True),
    vision=TowerShape(4, 64, 96, 4),
    audio=TowerShape(2, 64, 128, 4),
    full_attention=(1, 3),
)
TINY_LLAMA = TextShape(64, 96, 3, 4, 2, 2304, 2000, 5e5, 1e-5, 4096, qkv_bias=False)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("full")
    write_omni_checkpoint(folder / "checkpoints" / "omni", TINY_OMNI, shard_bytes=300_000)
    write_llama_checkpoint(folder / "checkpoints" / "medical", TINY_LLAMA, shard_bytes=100_000)
    return folder


@pytest.fixture(scope="module")
def pair(checkpoints: Path) -> Path:
    for slot in ("omni", "medical"):
        request = ConversionRequest(
            checkpoint=checkpoints / "checkpoints" / slot,
            output=checkpoints / slot,
            quantization="int8",
            source=f"random/{slot}",
            source_revision="random",
            cut_layer=2,
            prompt_prefix="<|im_start|>user\n" if slot == "omni" else "",
            slot=slot,
        )
        convert(request, NoProgress())
    write_random_fusion(checkpoints / "fusion", checkpoints / "omni", checkpoints / "medical")
    return checkpoints


def test_checkpoints_are_sharded_finite_and_no_two_layers_are_equal(checkpoints: Path):
    folder = checkpoints / "checkpoints" / "omni"
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    assert len(set(index.values())) > 3
    tensors = {}
    for shard in sorted(set(index.values())):
        assert (folder / shard).stat().st_size < 700_000  # one tensor alone may be larger than a shard
        with safe_open(folder / shard, framework="pt") as handle:
            tensors |= {name: handle.get_tensor(name).float().numpy() for name in handle.keys()}  # noqa: SIM118
    assert tensors.keys() == index.keys()
    layers = [tensors[f"thinker.model.layers.{n}.mlp.up_proj.weight"] for n in range(3)]
    assert not np.array_equal(layers[0], layers[1])
    assert not np.array_equal(layers[1], layers[2])
    assert layers[0].std() == pytest.approx(0.02, rel=0.05)
    assert np.array_equal(tensors["thinker.model.norm.weight"], np.ones(128))
    assert all(np.isfinite(values).all() for values in tensors.values())


def test_the_published_special_tokens_keep_their_ids():
    assert OMNI_7B.text.text_tokens == 151_643  # <|endoftext|>
    assert OMNI_7B.text.vocabulary == 152_064
    assert LLAMA_3_8B.text_tokens == 128_000  # <|begin_of_text|>


def test_special_tokens_come_right_after_the_text_tokens(pair: Path):
    tokens = Manifest.load(pair / "omni").tokens
    assert tokens is not None
    assert (tokens.audio, tokens.vision_start, tokens.image) == (2003, 2009, 2012)
    assert Manifest.load(pair / "medical").bos_token_id == 2000


def test_the_pair_encodes_and_the_fusion_folder_fits_it(pair: Path):
    omni = OmniEncoder.load(pair / "omni", threads=1)
    medical = MedicalEncoder.load(pair / "medical", threads=1)
    picture = Image(np.random.default_rng(0).integers(0, 256, (56, 84, 3), dtype=np.uint8))
    case = Case(language="en", text="chest pain", images=(picture,))
    embeddings = omni.encode(case) + medical.encode(case)
    assert [len(item.vector) for item in embeddings] == [128, 128, 64]
    assert all(np.isfinite(item.vector).all() and item.vector.std() > 0 for item in embeddings)
    identities = {name: EncoderIdentity.of(Manifest.load(pair / name)) for name in ("omni", "medical")}
    predictor = FusionPredictor.load(pair / "fusion", identities)
    assert predictor.predict(Evidence(embeddings=embeddings)).differential


@pytest.mark.parametrize("tokens", [16, 100, 512])
def test_texts_have_exactly_so_many_tokens_for_both_encoders(pair: Path, tokens: int):
    maker = CaseMaker((pair / "omni", pair / "medical"))
    omni = OmniEncoder.load(pair / "omni", threads=1)
    texts = {maker.text(tokens, number) for number in range(5)}
    assert len(texts) == 5
    assert all(len(omni._backbone.text_ids(text)) == tokens for text in texts)


def test_mixed_cases_take_the_kinds_in_turn(pair: Path):
    cases = list(CaseMaker((pair / "omni", pair / "medical")).mixed(4, 20, first=1))
    assert [kind for kind, _ in cases] == [*KINDS, KINDS[0]]
    assert ["image" in body for _, body in cases] == [False, True, False, False]
    assert ["audio" in body for _, body in cases] == [False, False, True, False]


def test_a_pair_is_built_once(tmp_path: Path):
    said: list[str] = []
    tiny = FullPair(
        tmp_path, "int8", {"omni": 2, "medical": 1}, keep_checkpoints=False, say=said.append,
        omni=TINY_OMNI, medical=TINY_LLAMA,
    )  # fmt: skip
    report = tiny.build()
    assert report["omni"]["peak_anonymous_bytes"] > 0
    assert report["medical"]["bytes"] == sum(path.stat().st_size for path in (tmp_path / "medical").iterdir())
    assert Manifest.load(tmp_path / "medical").decoder.cut_layer == 1
    assert not (tmp_path / "checkpoints" / "omni").exists()
    steps = len(said)
    assert tiny.build() == report
    assert len(said) == steps


def test_a_conversion_that_fails_says_so(tmp_path: Path):
    with pytest.raises(RuntimeError, match="exit code 3"):
        convert_measured(["sh", "-c", "exit 3"], tmp_path, lambda _: None)
