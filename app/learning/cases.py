"""The learning sets: cases of the base training that every run needs, kept with the model as evidence tokens.

replay.safetensors       a sample of the base training set, against forgetting
calibration.safetensors  one half of the dev sets: early stopping, temperatures, conformal masses
gate.safetensors         the other half: what a candidate is judged on; no training ever sees it
emergencies.safetensors  held-out emergencies with their red-flag floors: no candidate may call one of them harmless
manifest.json            SHA-256 of the files, and what the tokens belong to; written last

Embeddings are float16, findings packed bits, vital signs float32. No text is kept.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from app.domain import FloatArray, RiskLevel, Source
from app.encoders.manifest import file_sha256
from app.errors import ArtifactError
from app.fusion.artifact import EncoderIdentity, FusionConfig
from app.fusion.tokens import EvidenceToken
from app.training.tokens import LabelledTokens

SetName = Literal["replay", "calibration", "gate", "emergencies"]
SET_NAMES: tuple[SetName, ...] = ("replay", "calibration", "gate", "emergencies")
MANIFEST = "manifest.json"
_LEVELS: tuple[RiskLevel, ...] = ("low", "moderate", "high", "critical")
_Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class SafetyFloor:
    """The lowest risk level and urgency that the case's red flags and scores allow."""

    floor: RiskLevel
    triage: int


@dataclass(frozen=True, slots=True)
class LearningSet:
    """Cases in a fixed order. `floors` is empty, or has one entry per case."""

    cases: tuple[LabelledTokens, ...]
    floors: tuple[SafetyFloor | None, ...] = ()
    digest: str = field(default="", compare=False)
    """SHA-256 of the file that it was read from."""

    def without(self, conditions: frozenset[int]) -> Self:
        """The cases that are not labelled with one of these conditions (label indices)."""
        kept = [n for n, case in enumerate(self.cases) if case.condition not in conditions]
        floors = tuple(self.floors[n] for n in kept) if self.floors else ()
        return type(self)(tuple(self.cases[n] for n in kept), floors, self.digest)


@dataclass(frozen=True, slots=True)
class LearningSets:
    """All four. `digest` names them in a change record."""

    replay: LearningSet
    calibration: LearningSet
    gate: LearningSet
    emergencies: LearningSet
    digest: str = ""


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    format_version: Literal[1] = 1
    encoders: dict[str, EncoderIdentity]
    conditions: tuple[str, ...]
    finding_ids_sha256: str
    groups: tuple[str, ...]
    files: dict[str, str]
    cases: dict[str, int]


def in_gate(group: str, key: str) -> bool:
    """Whether a dev case belongs to the gate set: a fixed half, by hash. `key`: the row of its patient in the set."""
    return hashlib.sha256(f"gate/{group}/{key}".encode()).digest()[0] % 2 == 0


def save_learning_sets(folder: Path, sets: LearningSets, config: FusionConfig) -> None:
    """Write the four files and then their manifest. `config`: of the fusion folder that the tokens were made for."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    everything = {name: _named(sets, name) for name in SET_NAMES}
    groups = tuple(sorted({case.group for one in everything.values() for case in one.cases}))
    for name, one in everything.items():
        save_file(_pack(one, groups), _file(folder, name))
        _file(folder, name).chmod(0o644)
    manifest = _Manifest(
        encoders=config.encoders,
        conditions=config.conditions,
        finding_ids_sha256=_digest_of(config.finding_ids),
        groups=groups,
        files={name: file_sha256(_file(folder, name)) for name in SET_NAMES},
        cases={name: len(one.cases) for name, one in everything.items()},
    )
    partial = folder / f"{MANIFEST}.partial"
    with partial.open("w", encoding="utf-8") as handle:
        handle.write(manifest.model_dump_json(indent=1) + "\n")
        handle.flush()
        os.fsync(handle.fileno())
    partial.rename(folder / MANIFEST)


def load_learning_sets(folder: Path, config: FusionConfig) -> LearningSets:
    """ArtifactError where they are missing, damaged, or made for other encoders, labels or findings than `config`'s."""
    try:
        content = (folder / MANIFEST).read_bytes()
        manifest = _Manifest.model_validate_json(content)
    except FileNotFoundError as error:
        raise ArtifactError("learning_sets_missing", folder=str(folder)) from error
    except ValidationError as error:
        raise ArtifactError("learning_sets_invalid", folder=str(folder), file=MANIFEST) from error
    expected = (config.encoders, config.conditions, _digest_of(config.finding_ids))
    if (manifest.encoders, manifest.conditions, manifest.finding_ids_sha256) != expected:
        raise ArtifactError("learning_sets_mismatch", folder=str(folder))
    loaded = {name: _load(folder, name, manifest, len(config.finding_ids)) for name in SET_NAMES}
    return LearningSets(**loaded, digest=hashlib.sha256(content).hexdigest())


def _named(sets: LearningSets, name: SetName) -> LearningSet:
    one: LearningSet = getattr(sets, name)
    return one


def _file(folder: Path, name: SetName) -> Path:
    return folder / f"{name}.safetensors"


def _digest_of(names: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


def _load(folder: Path, name: SetName, manifest: _Manifest, findings: int) -> LearningSet:
    path = _file(folder, name)
    if not path.is_file() or file_sha256(path) != manifest.files.get(name):
        raise ArtifactError("learning_sets_damaged", folder=str(folder), file=path.name)
    try:
        return _unpack(load_file(path), manifest.groups, 2 * findings, manifest.files[name])
    except (SafetensorError, KeyError, IndexError, ValueError) as error:
        raise ArtifactError("learning_sets_invalid", folder=str(folder), file=path.name) from error


# --------------------------------------------------------------------------- arrays
def _pack(one: LearningSet, groups: Sequence[str]) -> dict[str, _Array]:
    """Columns of the cases; per source a matrix of vectors, and which case and place in it each row belongs to."""
    rows: dict[str, list[tuple[int, int, FloatArray]]] = {}
    for number, case in enumerate(one.cases):
        for place, token in enumerate(case.tokens):
            rows.setdefault(token.source, []).append((number, place, token.vector))
    arrays: dict[str, _Array] = {
        "group": np.array([groups.index(case.group) for case in one.cases], np.uint8),
        "condition": np.array([case.condition for case in one.cases], np.int16),
        "triage": np.array([case.triage for case in one.cases], np.uint8),
        "triage_weight": np.array([case.triage_weight for case in one.cases], np.float32),
        "korean": np.array([case.language == "ko" for case in one.cases], np.bool_),
    }
    if one.floors:
        arrays["floor"] = np.array([-1 if f is None else _LEVELS.index(f.floor) for f in one.floors], np.int8)
        arrays["floor_triage"] = np.array([0 if f is None else f.triage for f in one.floors], np.uint8)
    for source, entries in rows.items():
        arrays[f"{source}|case"] = np.array([case for case, _, _ in entries], np.int32)
        arrays[f"{source}|place"] = np.array([place for _, place, _ in entries], np.uint8)
        arrays[f"{source}|vectors"] = _stored(source, np.stack([vector for _, _, vector in entries]))
    return arrays


def _unpack(arrays: Mapping[str, _Array], groups: Sequence[str], findings_width: int, digest: str) -> LearningSet:
    tokens: list[dict[int, EvidenceToken]] = [{} for _ in arrays["condition"]]
    for name in arrays:
        source, _, part = name.partition("|")
        if part == "vectors":
            vectors = _restored(source, arrays[name], findings_width)
            for case, place, vector in zip(arrays[f"{source}|case"], arrays[f"{source}|place"], vectors, strict=True):
                tokens[int(case)][int(place)] = EvidenceToken(source, vector)
    cases = tuple(
        LabelledTokens(
            group=groups[int(arrays["group"][number])],
            tokens=tuple(placed[place] for place in sorted(placed)),
            condition=int(arrays["condition"][number]),
            triage=int(arrays["triage"][number]),
            triage_weight=float(arrays["triage_weight"][number]),
            language="ko" if arrays["korean"][number] else "en",
        )
        for number, placed in enumerate(tokens)
    )
    return LearningSet(cases, _floors(arrays), digest)


def _floors(arrays: Mapping[str, _Array]) -> tuple[SafetyFloor | None, ...]:
    if "floor" not in arrays:
        return ()
    return tuple(
        None if level < 0 else SafetyFloor(_LEVELS[int(level)], int(triage))
        for level, triage in zip(arrays["floor"], arrays["floor_triage"], strict=True)
    )


def _stored(source: str, vectors: FloatArray) -> _Array:
    if source == Source.FINDINGS.value:
        return np.packbits(vectors > 0.5, axis=1)
    return vectors if source == Source.VITALS.value else vectors.astype(np.float16)


def _restored(source: str, stored: _Array, findings_width: int) -> FloatArray:
    if source == Source.FINDINGS.value:
        return np.unpackbits(stored, axis=1, count=findings_width).astype(np.float32)
    return stored.astype(np.float32)
