"""One thread, also in threads that start later."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = """
from concurrent.futures import ThreadPoolExecutor
import torch
from app.fusion.threads import use_one_thread
torch.set_num_threads(3)
use_one_thread()
with ThreadPoolExecutor() as pool:
    print(torch.get_num_threads(), pool.submit(torch.get_num_threads).result())
"""


def test_every_thread_of_the_process_computes_alone() -> None:
    ended = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["1", "1"]
