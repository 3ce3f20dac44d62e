"""Tiny checkpoints of the exact classes, converted once a session."""

from __future__ import annotations

from functools import cache

import pytest

from app.conversion.pipeline import ConversionRequest, convert
from app.conversion.progress import NoProgress
from tests.checkpoints import write_llama, write_omni
from tests.encoders.thinker import PREFIX, Thinker

SUFFIX = "<|im_end|>\n<|im_start|>assistant\n"
CUT_LAYER = 2


@pytest.fixture(scope="session")
def omni_checkpoint(tmp_path_factory):
    return write_omni(tmp_path_factory.mktemp("omni") / "checkpoint", layers=3)


@pytest.fixture(scope="session")
def llama_checkpoint(tmp_path_factory):
    return write_llama(tmp_path_factory.mktemp("llama") / "checkpoint")


@pytest.fixture(scope="session")
def converted_omni(omni_checkpoint, tmp_path_factory):
    """Quantization -> folder."""
    return _converter(omni_checkpoint, tmp_path_factory, prompt_prefix=PREFIX, prompt_suffix=SUFFIX)


@pytest.fixture(scope="session")
def converted_medical(llama_checkpoint, tmp_path_factory):
    """Quantization -> folder."""
    return _converter(llama_checkpoint, tmp_path_factory, prompt_prefix="Patient:\n")


@pytest.fixture(scope="session")
def omni_folder(converted_omni):
    return converted_omni("none")


@pytest.fixture(scope="session")
def medical_folder(converted_medical):
    return converted_medical("none")


@pytest.fixture(scope="session")
def thinker(omni_checkpoint):
    return Thinker(omni_checkpoint)


def _converter(checkpoint, tmp_path_factory, **settings):
    @cache
    def folder(quantization):
        output = tmp_path_factory.mktemp("converted") / quantization
        request = ConversionRequest(
            checkpoint=checkpoint,
            output=output,
            quantization=quantization,
            source="tests/checkpoints.py",
            source_revision="0",
            block_size=32,
            cut_layer=CUT_LAYER,
            **settings,
        )
        convert(request, NoProgress())
        return output

    return folder
