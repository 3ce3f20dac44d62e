"""Answers of the learning loop shown in the API's own documentation."""

from __future__ import annotations

from typing import Any

RUN_ID = "run_7b1f4c0a9d2b4f4f5f1b7d113f0c8a52"
BASE, CANDIDATE = "daa69196746c", "41c07be9d2f3"

FEEDBACK_PROGRESS: dict[str, Any] = {
    "feedback_id": "fb_5d0c2a8e4f6b4a0d9d2b7c1e3f5a7b90",
    "created_at": "2026-11-21T09:30:00Z",
    "outcome": "promoted",
    "reason": None,
    "run_id": RUN_ID,
    "version": CANDIDATE,
    "role": "train",
    "message": "이 피드백이 반영된 버전이 모든 검사를 통과하여 적용되었습니다.",
}

_SETTINGS: dict[str, Any] = {"lora_r": 8, "lora_alpha": 16.0, "lora_dropout": 0.05}
_COUNTS = {"train": 51, "validation": 9, "held_out": 15, "excluded": 4, "no_label": 3, "duplicate": 1}

RUN: dict[str, Any] = {
    "run_id": RUN_ID,
    "state": "running",
    "trigger": "manual",
    "requested_by": "9c56cc51b374c3ba",
    "created_at": "2026-11-21T10:00:00Z",
    "started_at": "2026-11-21T10:00:03Z",
    "finished_at": None,
    "attempts": 1,
    "parent_version": BASE,
    "candidate_version": None,
    "decision": None,
    "reason": None,
    "cancel_requested": False,
    "progress": {"step": "training", "share": 0.4, "detail": {"epoch": 6, "validation_loss": 0.71}},
    "counts": _COUNTS,
    "settings": _SETTINGS,
    "has_change_record": False,
}
QUEUED_RUN: dict[str, Any] = {
    **RUN,
    "state": "queued",
    "started_at": None,
    "attempts": 0,
    "parent_version": None,
    "progress": None,
    "counts": {},
}
CANCELLING_RUN: dict[str, Any] = {**RUN, "cancel_requested": True}
PROMOTED_RUN: dict[str, Any] = {
    **RUN,
    "state": "promoted",
    "finished_at": "2026-11-21T10:02:41Z",
    "candidate_version": CANDIDATE,
    "decision": "promote",
    "progress": None,
    "has_change_record": True,
}

LEARNING: dict[str, Any] = {
    "enabled": True,
    "waiting": {"usable": 7, "unusable": {"no_label": 2}},
    "threshold": 20,
    "active_run": None,
    "active_version": CANDIDATE,
    "serving_version": CANDIDATE,
    "last_runs": [PROMOTED_RUN],
}

VERSIONS: dict[str, Any] = {
    "active": {
        "version": CANDIDATE,
        "sequence": 1,
        "activated_at": "2026-11-21T10:02:41Z",
        "activated_by": "worker",
        "run_id": RUN_ID,
    },
    "serving_version": CANDIDATE,
    "refused": None,
    "versions": [
        {
            "version": CANDIDATE,
            "parent": BASE,
            "run_id": RUN_ID,
            "created_at": "2026-11-21T10:02:40Z",
            "counts": _COUNTS,
            "figures": {"held_out_accuracy": 0.87},
            "settings": _SETTINGS,
            "code_revision": "0e23ed6",
        },
        {
            "version": BASE,
            "parent": None,
            "run_id": None,
            "created_at": None,
            "counts": {},
            "figures": {},
            "settings": {},
            "code_revision": None,
        },
    ],
}

CHANGE_RECORD: dict[str, Any] = {
    "report": {
        "run_id": RUN_ID,
        "modification": {"parent_version": BASE, "candidate_version": CANDIDATE},
        "protocol": {"margins": {"gate_accuracy": 0.01}},
        "impact": {
            "checks": [
                {"name": "gate_accuracy", "serving": 0.931, "candidate": 0.929, "margin": 0.01, "passed": True},
            ]
        },
        "decision": {"decision": "promote", "reason": "passed", "failed": []},
    },
    "activations": [
        {
            "action": "version.activated",
            "sequence": 9,
            "at": "2026-11-21T10:02:41Z",
            "by": "worker",
            "version": CANDIDATE,
            "digest": "5f2c9d1e" * 8,
        }
    ],
}
CHANGE_RECORD_MARKDOWN = "# Change record: run_7b1f4c0a9d2b4f4f5f1b7d113f0c8a52\n"

ACTIVATE_REQUESTS: dict[str, Any] = {
    "roll_back": {"summary": "Only if nobody has chosen another one meanwhile", "value": {"expected": CANDIDATE}},
    "whatever": {"summary": "Whichever is active", "value": {}},
}
