"""What names a conversion: two runs of one identity write the same weights, so that one can go on with the other's."""

from __future__ import annotations

import hashlib
import inspect
import json
from importlib.metadata import version
from pathlib import Path

from app.conversion.plan import Plan
from app.conversion.text_files import COPIED_NAMES, TOKENIZER_NAME
from app.encoders.manifest import Manifest, file_sha256

TOOLS = ("onnx", "onnxruntime", "safetensors", "tokenizers", "torch", "transformers")
SMALL_FILES = (*COPIED_NAMES, TOKENIZER_NAME, "tokenizer.model", "vocab.json", "merges.txt")


def identity_of(plan: Plan) -> str:
    """SHA-256 over everything that the weights and the set of files depend on.

    The checkpoint counts by its fingerprint: weights are not read. What only the manifest tells (source, prompt, limit
    of pixels) does not count. ArtifactError where a file of the checkpoint has gone.
    """
    request = plan.request
    folder = plan.checkpoint.folder
    parts = {
        "code": code_sha256(),
        "checkpoint": plan.checkpoint.fingerprint(),
        "files": {name: file_sha256(folder / name) for name in SMALL_FILES if (folder / name).is_file()},
        "architecture": plan.architecture,
        "quantization": request.quantization,
        "block_size": request.block_size if request.quantization == "int4" else None,
        "cut_layer": plan.decoder.spec.cut_layer,
        "tools": tool_versions(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def code_sha256() -> str:
    """Of this package's code and the manifest's: other code may write other bytes."""
    code = hashlib.sha256()
    for source in [*sorted(Path(__file__).parent.glob("*.py")), Path(inspect.getfile(Manifest))]:
        code.update(source.read_bytes())
    return code.hexdigest()


def tool_versions() -> dict[str, str]:
    """The versions of the packages that a model folder's bytes depend on."""
    return {tool: version(tool) for tool in TOOLS}
