"""Llama 2's and Mistral's sentencepiece tokenizers: what a user writes gets the ids that it had in training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sentencepiece
from transformers import AutoTokenizer

from app.conversion import NoProgress, convert, text_files
from app.encoders.manifest import Manifest
from app.encoders.tokenizer import PromptTokenizer
from app.errors import ArtifactError
from tests.checkpoints import write_llama, write_mistral
from tests.conversion.compatible_checkpoints import PIECES, write_sentencepiece
from tests.conversion.conftest import request_for

TEXTS = (
    "어제부터 가슴이 아프고 숨이 찹니다. 열이 38.5도까지 났습니다.",
    "The patient presents with chest pain for 12 days.",
    "숨이 참 😀🫀 SpO2 92%",
    "첫 줄\n둘째 줄\r\n\n\ttabbed",
    "two  spaces,   three",
    "患者胸痛 ▁ and <0x0A> typed out",
    "\x00\x7f\u200b",
)
SPECIAL = ("<s>", "</s>", "<unk>")
SETTINGS = {"legacy": {"legacy": True}, "metaspace": {"legacy": False}}


def converted_tokenizer(folder: Path, output: Path) -> PromptTokenizer:
    convert(request_for(folder, output, cut_layer=1, prompt_prefix="Patient:\n"), NoProgress())
    return PromptTokenizer.load(output, Manifest.load(output))


@pytest.fixture(scope="module", params=SETTINGS)
def old(request, tmp_path_factory):
    """A folder with tokenizer.model alone, and the tokenizer that it is served with."""
    root = tmp_path_factory.mktemp("sentencepiece")
    folder = write_sentencepiece(write_llama(root / "checkpoint", vocab_size=PIECES), **SETTINGS[request.param])
    return folder, converted_tokenizer(folder, root / "out")


@pytest.mark.parametrize("text", TEXTS)
def test_a_users_text_has_the_ids_of_training(old, text):
    folder, served = old
    expected = AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False)["input_ids"]
    assert served.encode(text) == expected
    assert expected == sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model")).encode(text)
    unknown = served.plain.token_to_id("<unk>")
    assert unknown not in expected  # byte fallback leaves nothing unknown


def test_the_prefix_starts_with_the_leading_token(old):
    folder, served = old
    assert list(served.prefix) == AutoTokenizer.from_pretrained(folder)("Patient:\n")["input_ids"]
    assert served.prefix[0] == 1
    assert served.suffix == ()


@pytest.mark.parametrize("text", [*SPECIAL, "x</s>y", "</s><s>", "가</s>", "a <unk> b"])
def test_special_tokens_cannot_be_typed(old, text):
    folder, served = old
    ids = served.encode(text)
    assert not {0, 1, 2} & set(ids)
    assert served.plain.decode(ids) == text
    typed = AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False)["input_ids"]
    assert {0, 1, 2} & set(typed)  # what would have happened


def test_a_mistral_folder_without_tokenizer_config(tmp_path):
    """Mistral 7B v0.1 was first published so; the class comes from config.json."""
    folder = write_sentencepiece(write_mistral(tmp_path / "checkpoint", vocab_size=PIECES))
    (folder / "tokenizer_config.json").unlink()
    served = converted_tokenizer(folder, tmp_path / "out")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    assert all(served.encode(text) == pieces.encode(text) for text in TEXTS)


def test_tokenizer_json_is_used_where_it_is_there(tmp_path):
    folder = write_llama(tmp_path / "checkpoint")
    before = AutoTokenizer.from_pretrained(folder)(TEXTS[0], add_special_tokens=False)["input_ids"]
    (folder / "tokenizer.model").write_bytes(b"not looked at")
    assert converted_tokenizer(folder, tmp_path / "out").encode(TEXTS[0]) == before


def test_a_merge_that_makes_a_special_token_is_found_behind_a_letter(old, tmp_path):
    """The space before a text hides it at the start of one; a tokenizer.json may hold such a merge."""
    folder, _ = old
    output = tmp_path / "out"
    convert(request_for(folder, output, cut_layer=1), NoProgress())
    path = output / "tokenizer.json"
    definition = json.loads(path.read_text())
    vocabulary, merges = definition["model"]["vocab"], definition["model"]["merges"]
    vocabulary["</s"] = vocabulary.pop("<0xFF>")
    merges[:0] = [["<", "/"], ["</", "s"], ["</s", ">"]]
    path.write_text(json.dumps(definition))
    with pytest.raises(ArtifactError, match="model_tokenizer_unsafe"):
        PromptTokenizer.load(output, Manifest.load(output))


def refused(folder: Path, output: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        convert(request_for(folder, output), NoProgress())
    assert "\n" not in str(caught.value)
    assert not output.exists()
    return str(caught.value)


def test_without_sentencepiece_the_line_names_it(tmp_path, monkeypatch):
    folder = write_sentencepiece(write_llama(tmp_path / "checkpoint", vocab_size=PIECES))
    monkeypatch.setattr(text_files, "find_spec", lambda _: None)
    assert "install the package sentencepiece" in refused(folder, tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 50, b'{"model": 3}'])
def test_a_damaged_tokenizer_model(content, tmp_path):
    folder = write_sentencepiece(write_llama(tmp_path / "checkpoint", vocab_size=PIECES))
    (folder / "tokenizer.model").write_bytes(content)
    assert "tokenizer" in refused(folder, tmp_path / "out")
