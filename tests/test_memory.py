"""What is freed goes back to the system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCKS = """
import sys
from pathlib import Path
from app.memory import return_large_blocks

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

if sys.argv[1] == "with":
    assert return_large_blocks()
before = resident_mb()
for _ in range(3):  # the second round is the one that glibc would have learnt from
    blocks = [bytearray(b"x") * (16 << 20) for _ in range(20)]
    kept = bytearray(b"x") * 1000  # on top of the heap: what lies below cannot be trimmed
    del blocks
print(resident_mb() - before)
"""


def grown_mb(how: str) -> float:
    """What a process of its own has kept after 60 blocks of 16 MiB."""
    ended = subprocess.run(
        [sys.executable, "-c", BLOCKS, how], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return float(ended.stdout)


def test_large_blocks_are_given_back() -> None:
    kept = grown_mb("with")
    assert kept < 20
    assert kept < grown_mb("without") / 5
