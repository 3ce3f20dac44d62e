"""A run up to its decision: read the feedback, make a candidate, publish it where the gate lets it pass."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app import __version__
from app.adaptation import MAX_REJECTIONS, Decision, LearningRun, VersionInfo
from app.errors import AppError, ConflictError, LeaseLostError, NotFoundError
from app.fusion.artifact import FusionArtifact, load_artifact, save_artifact
from app.fusion.identity import fusion_version
from app.fusion.threads import use_one_thread
from app.knowledge.base import DATA_FOLDER
from app.knowledge.loader import load_files
from app.learning.adapter import LoraOptions
from app.learning.candidate import Candidate, Plan, make_candidate
from app.learning.cases import load_learning_sets
from app.learning.keeping import Keeper
from app.learning.opening import NOTHING_TO_LEARN
from app.learning.revision import code_revision
from app.learning.selection import Limits, Selection, select
from app.learning.training import TrainingOptions
from app.served import encoder_versions, served_manifests
from app.services.change_record import render_markdown
from app.settings import Settings
from app.storage.database import Database
from app.storage.feedback_queue import FeedbackQueue
from app.storage.runs import RunRepository
from app.versions.files import as_storage_failures
from app.versions.registry import VersionRegistry

MAX_ROWS = 5000
"""Verdicts that wait, and verdicts of earlier runs, that one run reads: the newest. They must fit into its memory."""
GATE_FAILED, NOTHING_LEARNT = "gate_failed", "nothing_learnt"


class NothingToLearnError(AppError):
    """The waiting feedback leaves nothing to train on, or nothing to hold out."""


def make_plan(settings: Settings, queue: FeedbackQueue, registry: VersionRegistry, asked: Mapping[str, Any]) -> Plan:
    """What a run would be made from now. `asked`: `Settings.run_settings`, as they were when it was opened.

    ArtifactError where the active version or the learning sets must not be used, StorageError.
    """
    use_one_thread()
    version = registry.active().version
    registry.verify(version)
    parent = load_artifact(registry.folder(version))
    base = None if version == registry.base_version else load_artifact(registry.folder(registry.base_version))
    conditions = load_files(DATA_FOLDER).conditions
    return Plan(
        parent=parent,
        base=base,
        selection=_select(settings, queue, parent, asked, lineage(registry, version)),
        sets=load_learning_sets(settings.learning_data_path, parent.config),
        specialties=tuple(conditions[name].specialty for name in parent.config.conditions),
        redefined=tuple(registry.info(version).settings.get("redefined", ())),
        options=TrainingOptions(
            lora=LoraOptions(int(asked["lora_r"]), int(asked["lora_alpha"]), float(asked["lora_dropout"]))
        ),
    )


def lineage(registry: VersionRegistry, version: str) -> tuple[str, ...]:
    """The version and those that it was made from, as far as they are still there."""
    found = [version]
    with suppress(NotFoundError):
        while (parent := registry.info(found[-1]).parent) is not None:
            found.append(parent)
    return tuple(found)


def _select(
    settings: Settings,
    queue: FeedbackQueue,
    parent: FusionArtifact,
    asked: Mapping[str, Any],
    versions: Collection[str],
) -> Selection:
    """`versions`: whose feedback is trained on again. What a version that was rolled back had learnt is not."""
    waiting = (*queue.rejected(MAX_REJECTIONS), *queue.waiting())[-MAX_ROWS:]
    learnt = queue.learnt(versions)[-MAX_ROWS:]
    named = [row.analysis_id for row in (*waiting, *learnt) if row.analysis_id is not None]
    keys = len(settings.api_keys) + len(settings.admin_keys)
    return select(
        waiting,
        learnt,
        queue.cases(named),
        conditions=frozenset(parent.config.conditions),
        encoders=encoder_versions(served_manifests(settings)),
        limits=Limits(
            key_cap=float(asked["learning_key_cap"]),
            label_share=float(asked["learning_label_share"]),
            held_out_share=float(asked["learning_held_out_share"]),
            corroboration=min(int(asked["learning_corroboration"]), max(1, keys)),
        ),
    )


class Job:
    """One attempt; everything that it needs of the outside."""

    def __init__(  # noqa: PLR0917 - the parts of one attempt
        self,
        settings: Settings,
        database: Database,
        runs: RunRepository,
        registry: VersionRegistry,
        run: LearningRun,
        owner: str,
    ) -> None:
        self._settings = settings
        self._queue = FeedbackQueue(database)
        self._runs = runs
        self._registry = registry
        self._run = run
        self._owner = owner

    def decide(self, keeper: Keeper) -> None:
        """Leaves a decided run. NothingToLearnError, ArtifactError, StorageError, and what `keeper.report` raises."""
        run_id, owner = self._run.run_id, self._owner
        keeper.report("selecting", 0.0, {})
        self._registry.withdraw(run_id)
        plan = make_plan(self._settings, self._queue, self._registry, self._run.settings)
        selection = plan.selection
        self._runs.select(run_id, owner, plan.parent.version, selection.uses, selection.counts)
        try:
            candidate = make_candidate(plan, keeper.report, lambda: self._runs.gating(run_id, owner))
        except ValueError as error:
            raise NothingToLearnError(NOTHING_TO_LEARN) from error
        keeper.report("publishing", 0.0, {})
        self._conclude(candidate, plan)

    # ----------------------------------------------------------------- after the gate
    def _conclude(self, candidate: Candidate, plan: Plan) -> None:
        verdict, run = candidate.verdict, self._run
        reason = _reason(candidate)
        with self._registry.stage() as staged:
            with as_storage_failures():
                version = _write(staged, candidate, plan.parent, run.run_id)
                record = self._record(candidate, version)
                candidate.adapted.save(staged / "adapter")
                _write_record(staged, record)
            if verdict.promotes:
                self._registry.publish(staged, self._info(version, plan, record))
        decision: Decision = "promote" if verdict.promotes else "reject"
        try:
            self._runs.decide(run.run_id, self._owner, decision, reason, version if verdict.promotes else None, record)
        except LeaseLostError:  # another attempt goes on: what is published may be what it has decided on
            raise
        except ConflictError:  # cancelled at the last moment
            self._registry.withdraw(run.run_id)
            raise

    def _record(self, candidate: Candidate, version: str) -> dict[str, Any]:
        run, verdict, record = self._run, candidate.verdict, candidate.record
        return {
            "run_id": run.run_id,
            "trigger": run.trigger,
            "requested_by": run.requested_by,
            "created_at": run.created_at.isoformat(),
            "started_at": None if run.started_at is None else run.started_at.isoformat(),
            "finished_at": datetime.now(UTC).isoformat(),
            **record,
            "modification": {
                **record["modification"],
                "candidate_version": version,
                "settings": dict(run.settings),
                "code_revision": code_revision(),
                "service_version": __version__,
            },
            "decision": {
                "decision": "promote" if verdict.promotes else "reject",
                "reason": _reason(candidate),
                "failed": list(verdict.failed),
            },
        }

    def _info(self, version: str, plan: Plan, record: Mapping[str, Any]) -> VersionInfo:
        modification = record["modification"]
        return VersionInfo(
            version=version,
            parent=plan.parent.version,
            run_id=self._run.run_id,
            created_at=datetime.now(UTC),
            counts=plan.selection.counts,
            figures={check["name"]: check["candidate"] for check in record["impact"]["checks"]},
            settings={**self._run.settings, "redefined": list(plan.changed)},
            code_revision=modification["code_revision"],
        )


def _reason(candidate: Candidate) -> str | None:
    """Why it is rejected: the weights are the parent's where no step of the training was better than none."""
    if candidate.verdict.promotes:
        return None
    return NOTHING_LEARNT if candidate.record["protocol"]["training"]["best_step"] == 0 else GATE_FAILED


def _write(folder: Path, candidate: Candidate, parent: FusionArtifact, run_id: str) -> str:
    """A whole fusion folder; what it is called. The same candidate of the same run gives the same bytes."""
    save_artifact(
        folder,
        config=parent.config,
        network=candidate.network,
        calibration=candidate.calibration,
        regions=parent.regions,
        report={"parent": parent.version, "run": run_id, "gate": candidate.verdict.impact()},
    )
    return fusion_version(folder)


def _write_record(folder: Path, record: Mapping[str, Any]) -> None:
    text = json.dumps(record, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    (folder / "change_record.json").write_text(text, encoding="utf-8")
    for language in ("en", "ko"):
        (folder / f"change_record.{language}.md").write_text(render_markdown(record, language, ()), encoding="utf-8")
