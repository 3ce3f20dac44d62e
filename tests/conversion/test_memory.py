"""Peak memory of a conversion does not grow with the depth of the checkpoint."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkpoints import write_llama

ROOT = Path(__file__).resolve().parents[2]
SHALLOW, DEEP = 2, 14
SHAPE = {"hidden_size": 384, "intermediate_size": 1024, "num_attention_heads": 6, "num_key_value_heads": 2}
ALLOWED_MIB = 8
MEASURE = """
import sys
from pathlib import Path
from app.conversion import ConversionRequest, NoProgress, convert
checkpoint, output = sys.argv[1:]
for quantization in ("none", "int8", "int4"):
    convert(ConversionRequest(Path(checkpoint), Path(output), quantization, "s", "r"), NoProgress())
status = Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def peak_mib(checkpoint: Path, output: Path) -> float:
    """Of one process that converts at every quantisation."""
    command = [sys.executable, "-c", MEASURE, str(checkpoint), str(output)]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return int(run.stdout) / 1024


@pytest.mark.slow
def test_peak_memory_does_not_grow_with_depth(tmp_path):
    folders = {
        layers: write_llama(tmp_path / str(layers), shard="40MB", num_hidden_layers=layers, **SHAPE)
        for layers in (SHALLOW, DEEP)
    }
    sizes = {
        layers: sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 2**20
        for layers, folder in folders.items()
    }
    assert sizes[DEEP] - sizes[SHALLOW] > 9 * ALLOWED_MIB
    peaks = {layers: peak_mib(folder, tmp_path / "out") for layers, folder in folders.items()}
    assert peaks[DEEP] - peaks[SHALLOW] <= ALLOWED_MIB, peaks
