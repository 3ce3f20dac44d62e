"""Makes what a full-size benchmark needs below one folder, and keeps it for the next run.

WORK/checkpoints/{omni,medical}    random checkpoints, deleted once converted
WORK/{omni,medical}                converted model folders, WORK/{omni,medical}.json how the conversion went
WORK/fusion                        a random fusion folder
WORK/llama/{omni,medical}-N.gguf   the same text shapes for llama.cpp, N layers
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.encoders.manifest import Manifest, Quantization
from app.errors import ArtifactError
from app.evaluation.cgroup import memory_group_if_possible
from app.evaluation.full_size import SOURCES, Slot, write_llama_checkpoint, write_omni_checkpoint
from app.evaluation.full_size_fusion import write_random_fusion
from app.evaluation.full_size_shapes import LLAMA_3_8B, OMNI_7B, OmniShape, TextShape
from app.evaluation.full_size_watch import MemoryWatch
from app.evaluation.llama_cpp import write_gguf

CONVERSION_LIMIT = 2 << 30
SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "optimize_models.py"
_SLOTS: tuple[Slot, ...] = ("omni", "medical")
_MAX_PIXELS = 448 * 448
_SAMPLE_S = 0.2


@dataclass(frozen=True, slots=True)
class FullPair:
    """The pair to build. `layers`: how many of each decoder's; `say` hears of every step."""

    work: Path
    quantization: Quantization
    layers: Mapping[Slot, int]
    keep_checkpoints: bool
    say: Callable[[str], None]
    omni: OmniShape = OMNI_7B
    medical: TextShape = LLAMA_3_8B

    def text_shape(self, slot: Slot) -> TextShape:
        return self.omni.text if slot == "omni" else self.medical

    def build(self) -> dict[Slot, dict[str, Any]]:
        """Both encoders and the fusion folder. How each conversion went, now or when it was made."""
        reports = {slot: self._encoder(slot) for slot in _SLOTS}
        write_random_fusion(self.work / "fusion", self.work / "omni", self.work / "medical")
        return reports

    def gguf(self, slot: Slot, layers: int) -> Path:
        path = self.work / "llama" / f"{slot}-{layers}.gguf"
        if not path.is_file():
            self.say(f"writing {path}")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_gguf(path, self.text_shape(slot).cut(layers))
        return path

    def _encoder(self, slot: Slot) -> dict[str, Any]:
        output, record = self.work / slot, self.work / f"{slot}.json"
        if self._is_there(slot) and record.is_file():
            found: dict[str, Any] = json.loads(record.read_bytes())
            return found
        checkpoint = self.work / "checkpoints" / slot
        if not checkpoint.is_dir():
            self.say(f"writing a random checkpoint to {checkpoint}")
            self._write_checkpoint(slot, checkpoint)
        self.say(f"converting {checkpoint} to {output}")
        report = convert_measured(self._command(slot, checkpoint, output), output, self.say)
        record.write_text(json.dumps(report, indent=1), encoding="utf-8")
        if not self.keep_checkpoints:
            shutil.rmtree(checkpoint)
        return report

    def _is_there(self, slot: Slot) -> bool:
        """Whether the converted folder is the one that is asked for."""
        try:
            manifest = Manifest.load(self.work / slot)
        except ArtifactError:
            return False
        return (manifest.quantization, manifest.decoder.cut_layer) == (self.quantization, self.layers[slot])

    def _write_checkpoint(self, slot: Slot, folder: Path) -> None:
        if slot == "omni":
            write_omni_checkpoint(folder, self.omni)
        else:
            write_llama_checkpoint(folder, self.medical)

    def _command(self, slot: Slot, checkpoint: Path, output: Path) -> list[str]:
        values = {
            "slot": slot,
            "checkpoint": checkpoint,
            "output": output,
            "quantization": self.quantization,
            "cut-layer": self.layers[slot],
            "source": SOURCES[slot],
            "source-revision": "random",
        }
        if slot == "omni":
            values["max-pixels"] = _MAX_PIXELS
        return [sys.executable, str(SCRIPT)] + [str(part) for name, v in values.items() for part in (f"--{name}", v)]


def convert_measured(
    command: list[str], output: Path, say: Callable[[str], None], limit_bytes: int = CONVERSION_LIMIT
) -> dict[str, Any]:
    """Run a conversion under a memory limit where one can be set; its time, peak memory and sizes.

    RuntimeError where it fails.
    """
    started = time.monotonic()
    with memory_group_if_possible(limit_bytes, say) as group:
        process = subprocess.Popen(group.command(command) if group else command)
        with MemoryWatch(process.pid, group, _SAMPLE_S) as watch:
            code = process.wait()
        kills = group.oom_kills() if group else None
        report = {
            "seconds": round(time.monotonic() - started, 1),
            "limit_bytes": limit_bytes if group else None,
            "peak_anonymous_bytes": watch.peak_anonymous,
            "peak_charged_bytes": group.peak() if group else None,
            "oom_kills": kills,
        }
    if code != 0:
        raise RuntimeError(f"the conversion stopped with exit code {code}, out-of-memory kills: {kills}")
    sizes = {path.name: path.stat().st_size for path in sorted(output.iterdir())}
    return report | {"bytes": sum(sizes.values()), "files": sizes}
