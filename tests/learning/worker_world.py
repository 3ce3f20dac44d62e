"""A database, a versions folder and manifests that say which encoders serve: what the worker needs, and no weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.domain import Feedback
from app.encoders.manifest import DecoderSpec, Manifest
from app.served import encoder_versions
from app.storage.analyses import AnalysisRepository
from app.storage.database import Database
from app.storage.feedback import FeedbackRepository
from tests.storage.samples import analysis, evidence

ROOT = Path(__file__).resolve().parents[2]
FAKE_TRAINER = ROOT / "tests/learning/fake_trainer.py"
CONDITION = "acute_myocardial_infarction"
"""What `samples.analysis` diagnoses."""


def write_models(folder: Path) -> dict[str, str]:
    """Manifests of two encoders and a fusion config; encoder -> version."""
    spec = DecoderSpec(
        hidden_size=8,
        intermediate_size=8,
        layers=2,
        cut_layer=1,
        heads=1,
        kv_heads=1,
        head_dim=8,
        vocab_size=8,
        rms_norm_eps=1e-6,
        rope_theta=1e4,
        rope_inv_freq=(1.0,),
        max_position=8,
    )
    manifests = {}
    for name in ("omni", "medical"):
        manifests[name] = Manifest(
            architecture="LlamaForCausalLM",
            quantization="none",
            decoder=spec,
            source=name,
            source_revision="0",
            tool_versions={},
            files={},
        )
        (folder / name).mkdir(parents=True)
        (folder / name / "manifest.json").write_text(manifests[name].canonical(), encoding="utf-8")
    (folder / "fusion").mkdir()
    config = {"encoders": {name: {"cut_layer": 1} for name in manifests}, "conditions": [CONDITION]}
    (folder / "fusion" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return encoder_versions(manifests)


def give_feedback(database: Database, encoders: dict[str, str], rows: int) -> list[str]:
    """Confirmations of analyses that these encoders made; their feedback ids."""
    analyses, feedback = AnalysisRepository(database), FeedbackRepository(database)
    given = []
    for _ in range(rows):
        case = analysis()
        analyses.add(replace(case, models={**case.models, **encoders}), evidence(), text=None)
        stored = feedback.add(
            Feedback(is_correct=True, analysis_id=case.analysis_id),
            corrected_condition_id=None,
            idempotency_key=None,
            request_digest="",
            caller="c" * 8,
        )
        given.append(stored.feedback_id)
    return given


class WorkerProcess:
    """The real worker with a trainer that learns nothing. `folder` holds everything and outlives the process."""

    def __init__(self, folder: Path, database_url: str, **settings: str) -> None:
        self.folder = folder
        self.log = folder / "worker.log"
        self.heartbeat = folder / "heartbeat"
        self._environment = {
            "DATABASE_URL": database_url,
            "VERSIONS_DIR": str(folder / "versions"),
            "QWEN_MODEL_PATH": str(folder / "models/omni"),
            "MMED_LLAMA_MODEL_PATH": str(folder / "models/medical"),
            "FUSION_WEIGHTS_PATH": str(folder / "models/fusion"),
            "LEARNING_MIN_FEEDBACK": "2",
            "LEARNING_POLL_S": "0.1",
            "LEARNING_LEASE_S": "30",
            "LEARNING_MIN_FREE_MEMORY": "1",
            "HOST": "127.0.0.1",
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        trainer = [sys.executable, str(FAKE_TRAINER)]
        code = f"import sys; from app.learning.worker import main; sys.exit(main(trainer={trainer!r}))"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, "--heartbeat", str(self.heartbeat)],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self._environment},
                stdout=log,
                stderr=log,
            )
        return self.process

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log lines of one event."""
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]


@contextmanager
def running(*workers: WorkerProcess) -> Iterator[None]:
    """Started; killed at the end where they still run."""
    try:
        for worker in workers:
            worker.start()
        yield
    finally:
        for worker in workers:
            if worker.process is not None and worker.process.poll() is None:
                worker.process.kill()
                worker.process.wait()


def until(holds: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What `holds` gives, as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, "it does not come to pass"
        time.sleep(0.02)
    return value


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
