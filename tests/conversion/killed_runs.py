"""Run by test_killed_conversions.py as a process of its own: conversions that are killed, and the runs after them.

    python tests/conversion/killed_runs.py CHECKPOINT FOLDER

Each conversion is a forked child, so that torch is imported once. Every write, journal line, hash, flush and rename is
a moment; a child that is told a number is killed with SIGKILL right before that moment. Prints one JSON line a case.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, Qwen2_5OmniThinkerConfig, Qwen2TokenizerFast
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from app.conversion import ConversionRequest, NoProgress, convert, external_data, journal, pipeline, staging
from app.encoders.manifest import MANIFEST_NAME, Manifest

RANDOM_MOMENTS = 6
LOADED = (torch, AutoTokenizer, Qwen2_5OmniThinkerConfig, Qwen2TokenizerFast, ROPE_INIT_FUNCTIONS)
"""What a conversion imports when it needs it, and a forked child would import anew."""
MOMENTS: list[str] = []
LAST = -1


def main(checkpoint: Path, folder: Path) -> None:
    for owner, name in (
        (external_data.SectionFile, "write"),
        (journal.Journal, "append"),
        (journal.Journal, "keep_whole"),
        (pipeline, "file_sha256"),
        (staging, "_flush"),
        (Path, "rename"),
        (shutil, "rmtree"),
    ):
        setattr(owner, name, moment(name, getattr(owner, name)))
    moments = json.loads(in_child(lambda: run(checkpoint, folder / "undisturbed")))
    report(case="undisturbed", files=files_of(folder / "undisturbed"))
    for number, kills in enumerate(chosen(moments)):
        output = folder / str(number) / "out"
        for at in kills:
            in_child(lambda at=at, output=output: run(checkpoint, output, at))
            report(case=[at, moments[at]], loads=[files_of(path.parent) for path in output.parent.rglob(MANIFEST_NAME)])
        in_child(lambda output=output: run(checkpoint, output))
        left = sorted(path.name for path in output.parent.iterdir())
        report(case=[moments[at] for at in kills], files=files_of(output), left=left)


def chosen(moments: list[str]) -> Iterator[tuple[int, ...]]:
    """Where to kill: at random, twice at random, at the first of each kind and at both renames."""
    chance = random.Random(7)
    for _ in range(RANDOM_MOMENTS):
        yield (chance.randrange(len(moments)),)
    yield tuple(chance.sample(range(len(moments) // 2), 2))
    for kind in ("append", "file_sha256", "_flush", "rename"):
        yield (moments.index(kind),)
    for number in range(len(moments)):
        if moments[number] in {"rename", "rmtree"}:
            yield (number,)


def moment(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def at_moment(*arguments: Any, **options: Any) -> Any:
        if len(MOMENTS) == LAST:
            os.kill(os.getpid(), signal.SIGKILL)
        MOMENTS.append(name)
        return function(*arguments, **options)

    return at_moment


def run(checkpoint: Path, output: Path, last: int = -1) -> str:
    """In the child. The moments that it came through."""
    global LAST  # noqa: PLW0603 (of this child alone)
    LAST = last
    convert(ConversionRequest(checkpoint, output, "int8", "tests/tiny", "0"), NoProgress())
    return json.dumps(MOMENTS)


def in_child(function: Callable[[], str]) -> str:
    """What the function gives; "" where its process was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            pipe.write(function())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in {0, -signal.SIGKILL}, status
    return answer


def files_of(folder: Path) -> dict[str, str]:
    """By the manifest, once every file has the hash that stands there."""
    manifest = Manifest.load(folder)
    manifest.verify(folder)
    assert {path.name for path in folder.iterdir()} == {*manifest.files, MANIFEST_NAME}
    return {**manifest.files, MANIFEST_NAME: manifest.digest}


def report(**values: Any) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
