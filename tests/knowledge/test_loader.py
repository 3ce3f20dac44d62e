"""A bad file is refused with one line that names the file, the entry and the reason."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.errors import ArtifactError
from app.knowledge.base import KnowledgeBase
from app.knowledge.loader import load_files

Data = dict[str, list[dict[str, Any]]]


def _finding(finding_id: str, english: str, korean: str) -> dict[str, Any]:
    return {
        "id": finding_id,
        "name": {"en": english, "ko": korean},
        "forms": {"en": [english], "ko": [korean]},
        "phrases": {
            "en": {"patient": [f"I have {english}"], "clinician": [english]},
            "ko": {"patient": [f"{korean} 있어요"], "clinician": [korean]},
        },
        "negated": {"en": [f"no {english}"], "ko": [f"{korean} 없어요"]},
    }


def _condition() -> dict[str, Any]:
    levels = ("low", "moderate", "high", "critical")
    return {
        "id": "influenza",
        "icd10": "J11",
        "name": {"en": "Influenza", "ko": "인플루엔자"},
        "synonyms": {"en": ["flu"], "ko": ["독감"]},
        "specialty": "infectious_disease",
        "severity": 3,
        "demographics": {"age": [0, 100], "sex": "any"},
        "findings": {"fever": 0.9},
        "against": [],
        "red_flags": ["cough"],
        "tests": {"en": ["rapid test"], "ko": ["신속 검사"]},
        "recommendations": {level: {"en": ["Rest."], "ko": ["쉬세요."]} for level in levels},
        "sources": ["CDC"],
    }


def _flag() -> dict[str, Any]:
    return {
        "id": "hot",
        "name": {"en": "Hot", "ko": "고열"},
        "floor": "high",
        "triage": 2,
        "when": [{"all_of": ["fever"]}],
        "source": "NEWS2",
    }


def _data() -> Data:
    return {
        "findings/general.yaml": [_finding("fever", "fever", "발열"), _finding("cough", "cough", "기침")],
        "conditions/infection.yaml": [_condition()],
        "red_flags.yaml": [_flag()],
    }


def _write(folder: Path, data: Data) -> Path:
    for name, entries in data.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(entries, allow_unicode=True), encoding="utf-8")
    return folder


def test_good_files_load(tmp_path: Path) -> None:
    files = load_files(_write(tmp_path, _data()))
    assert list(files.conditions) == ["influenza"]
    assert list(files.findings) == ["fever", "cough"]
    assert [flag.id for flag in files.red_flags] == ["hot"]
    assert len(files.version) == 12


def test_version_follows_content(tmp_path: Path) -> None:
    first = load_files(_write(tmp_path, _data())).version
    assert load_files(tmp_path).version == first
    changed = _data()
    changed["conditions/infection.yaml"][0]["severity"] = 4
    assert load_files(_write(tmp_path, changed)).version != first


def _set(name: str, index: int, path: str, value: object) -> Callable[[Data], None]:
    def change(data: Data) -> None:
        place: Any = data[name][index]
        *parents, last = path.split(".")
        for parent in parents:
            place = place[int(parent) if parent.isdigit() else parent]
        place[int(last) if last.isdigit() else last] = value

    return change


def _delete(name: str, index: int, path: str) -> Callable[[Data], None]:
    def change(data: Data) -> None:
        place: Any = data[name][index]
        *parents, last = path.split(".")
        for parent in parents:
            place = place[parent]
        del place[last]

    return change


def _twice(name: str) -> Callable[[Data], None]:
    return lambda data: data[name].append(copy.deepcopy(data[name][0]))


CONDITIONS, FINDINGS, FLAGS = "conditions/infection.yaml", "findings/general.yaml", "red_flags.yaml"

BAD = [
    (
        "unknown finding",
        _set(CONDITIONS, 0, "findings", {"itchy_elbow": 0.5}),
        "influenza",
        "unknown finding itchy_elbow",
    ),
    ("unknown against", _set(CONDITIONS, 0, "against", ["itchy_elbow"]), "influenza", "against: unknown finding"),
    ("unknown red flag", _set(CONDITIONS, 0, "red_flags", ["itchy_elbow"]), "influenza", "red_flags: unknown finding"),
    ("typical and against", _set(CONDITIONS, 0, "against", ["fever"]), "influenza", "fever is also a typical finding"),
    ("against twice", _set(CONDITIONS, 0, "against", ["cough", "cough"]), "influenza", "the same finding twice"),
    ("duplicate condition", _twice(CONDITIONS), "influenza", "duplicate id"),
    ("duplicate finding", _twice(FINDINGS), "fever", "duplicate id"),
    ("duplicate flag", _twice(FLAGS), "hot", "duplicate id"),
    ("no Korean name", _delete(CONDITIONS, 0, "name.ko"), "influenza", "name.ko"),
    ("no English advice", _delete(CONDITIONS, 0, "recommendations.high.en"), "influenza", "recommendations.high.en"),
    ("no critical advice", _delete(CONDITIONS, 0, "recommendations.critical"), "influenza", "recommendations.critical"),
    ("empty advice", _set(CONDITIONS, 0, "recommendations.low.ko", []), "influenza", "recommendations.low.ko"),
    ("blank advice", _set(CONDITIONS, 0, "recommendations.low.ko", ["  "]), "influenza", "recommendations.low.ko"),
    ("no sources", _set(CONDITIONS, 0, "sources", []), "influenza", "sources"),
    ("no findings", _set(CONDITIONS, 0, "findings", {}), "influenza", "findings"),
    ("ICD without letter", _set(CONDITIONS, 0, "icd10", "111"), "influenza", "icd10"),
    ("ICD in lower case", _set(CONDITIONS, 0, "icd10", "j11"), "influenza", "icd10"),
    ("probability of 0", _set(CONDITIONS, 0, "findings", {"fever": 0.0}), "influenza", "findings.fever"),
    ("probability over 1", _set(CONDITIONS, 0, "findings", {"fever": 1.2}), "influenza", "findings.fever"),
    ("probability as text", _set(CONDITIONS, 0, "findings", {"fever": "0.5"}), "influenza", "findings.fever"),
    ("probability NaN", _set(CONDITIONS, 0, "findings", {"fever": float("nan")}), "influenza", "findings.fever"),
    ("severity 6", _set(CONDITIONS, 0, "severity", 6), "influenza", "severity"),
    ("unknown specialty", _set(CONDITIONS, 0, "specialty", "wizardry"), "influenza", "specialty"),
    ("unknown sex", _set(CONDITIONS, 0, "demographics.sex", "both"), "influenza", "demographics.sex"),
    ("ages turned round", _set(CONDITIONS, 0, "demographics.age", [50, 5]), "influenza", "demographics"),
    ("extra key", _set(CONDITIONS, 0, "prognosis", "good"), "influenza", "prognosis"),
    ("id with a space", _set(CONDITIONS, 0, "id", "the flu"), "the flu", "id"),
    ("no id", _delete(CONDITIONS, 0, "id"), "entry 1", "id"),
    ("finding without Korean forms", _set(FINDINGS, 0, "forms.ko", []), "fever", "forms.ko"),
    ("finding without phrases", _delete(FINDINGS, 0, "phrases.ko"), "fever", "phrases.ko"),
    ("finding without denial", _set(FINDINGS, 0, "negated.en", []), "fever", "negated.en"),
    ("form twice", _set(FINDINGS, 0, "forms.en", ["fever", "fever"]), "fever", "the same form twice"),
    ("unbalanced form", _set(FINDINGS, 0, "forms.en", ["(high|low fever"]), "fever", "unbalanced"),
    ("form of nothing", _set(FINDINGS, 0, "forms.en", ["(|fever)"]), "fever", "empty alternative"),
    ("form that explodes", _set(FINDINGS, 0, "forms.en", ["(a|b|c|d|e|f)" * 6]), "fever", "alternatives"),
    ("bad HPO code", _set(FINDINGS, 0, "code", "HP:123"), "fever", "code"),
    ("unknown broader", _set(FINDINGS, 0, "broader", ["heat"]), "fever", "broader: unknown finding heat"),
    ("broader than itself", _set(FINDINGS, 0, "broader", ["fever"]), "fever", "leads back"),
    ("flag on unknown finding", _set(FLAGS, 0, "when", [{"all_of": ["heat"]}]), "hot", "unknown finding heat"),
    ("flag on nothing", _set(FLAGS, 0, "when", [{"ages": [0, 3]}]), "hot", "when"),
    ("flag with two bounds", _set(FLAGS, 0, "when", [{"vitals": {"spo2": {"below": 9, "above": 3}}}]), "hot", "when"),
    ("flag on unknown vital", _set(FLAGS, 0, "when", [{"vitals": {"lactate": {"above": 2}}}]), "hot", "when"),
    ("flag with bad triage", _set(FLAGS, 0, "triage", 0), "hot", "triage"),
    ("flag wanting too many", _set(FLAGS, 0, "when", [{"any_of": ["fever"], "at_least": 2}]), "hot", "when"),
]


@pytest.mark.parametrize(("change", "entry", "reason"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_entry_is_refused(tmp_path: Path, change: Callable[[Data], None], entry: str, reason: str) -> None:
    data = _data()
    change(data)
    with pytest.raises(ArtifactError) as refusal:
        KnowledgeBase.load(_write(tmp_path, data))
    params = refusal.value.params
    assert refusal.value.code == "knowledge_invalid"
    assert str(params["file"]).endswith(".yaml")
    assert params["entry"] == entry
    assert reason in str(params["reason"])
    assert "\n" not in str(refusal.value)


BAD_FILES = [
    ("not YAML", "conditions/x.yaml", b"- id: [", "not valid YAML"),
    ("key twice", "conditions/x.yaml", b"- id: a\n  id: b\n", "duplicate key"),
    ("a mapping", "conditions/x.yaml", b"id: a\n", "list of entries"),
    ("empty", "findings/x.yaml", b"", "list of entries"),
    ("an entry that is a word", "findings/x.yaml", b"- fever\n", "dictionary"),
    ("not UTF-8", "findings/x.yaml", b"- id: \xff\xfe\n", "UTF-8"),
    ("YAML that runs code", "conditions/x.yaml", b"- !!python/object/apply:os.getcwd []\n", "not valid YAML"),
]


@pytest.mark.parametrize(("name", "content", "reason"), [case[1:] for case in BAD_FILES], ids=[c[0] for c in BAD_FILES])
def test_bad_file_is_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    folder = _write(tmp_path, _data())
    (folder / name).write_bytes(content)
    with pytest.raises(ArtifactError) as refusal:
        load_files(folder)
    assert refusal.value.params["file"] == Path(name).name
    assert reason in str(refusal.value.params["reason"])


@pytest.mark.parametrize("missing", ["conditions/infection.yaml", "findings/general.yaml", "red_flags.yaml"])
def test_missing_file_is_refused(tmp_path: Path, missing: str) -> None:
    folder = _write(tmp_path, _data())
    (folder / missing).unlink()
    with pytest.raises(ArtifactError):
        load_files(folder)
