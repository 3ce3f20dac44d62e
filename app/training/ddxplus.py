"""DDXPlus patients as first-person text.

DDXPlus stores a patient as answers to a questionnaire. Each question of the data set's own evidence file is turned into
a statement by grammar rules ("Do you have X?" -> "I have X."), so no sentence of the data set is kept in this project.
Several styles exist because users do not write like one template.

Source: Fansi Tchango et al., "DDXPlus: A New Dataset For Automatic Medical Diagnosis", NeurIPS 2022, CC BY 4.0.
"""

from __future__ import annotations

import ast
import csv
import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app.domain import Patient, Sex

Style = Literal["full", "brief", "questions", "notes", "complaint"]
STYLES: tuple[Style, ...] = ("full", "brief", "questions", "notes", "complaint")
"""`complaint`: the first complaint and two more statements, as somebody says before being asked."""

_RASH = "E_129"
_RASH_ATTRIBUTES = {f"E_{number}" for number in range(130, 137)}
_EMPTY_VALUES = {"nowhere", "NA", "N"}
_PRONOUNS = (
    (r"\byou were\b", "I was"),
    (r"\byou’?'?re\b", "I am"),
    (r"\byou are\b", "I am"),
    (r"\byourself\b", "myself"),
    (r"\byour\b", "my"),
    (r"\byou\b", "I"),
)
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"^have any of I family members (.*)$", r"some of my family members have \1"),
        (r"^have any of my family members (.*)$", r"some of my family members have \1"),
        (r"^are there (?:any )?members of (.*)$", r"there are members of \1"),
        (r"^do any members of (.*?) have (.*)$", r"members of \1 have \2"),
        (r"^have I or (.*?) ever (.*)$", r"I or \1 have \2"),
        (r"^(?:in the last month, )?have I been (.*)$", r"I have been \1"),
        (r"^have I (?:ever )?(.*)$", r"I have \1"),
        (r"^are I (.*)$", r"I am \1"),
        (r"^were I (.*)$", r"I was \1"),
        (r"^did I (?:previously, or do I currently, )?have (.*)$", r"I had \1"),
        (r"^did I (.*)$", r"I did \1"),
        (r"^did my (\w+) (?:suddenly )?(.*)$", r"my \1 did suddenly \2"),
        (r"^do I currently, or did I ever, have (.*)$", r"I have \1"),
        (r"^do I (.*)$", r"I \1"),
        (r"^do my (lesions|symptoms)(.*?) (peel|increase) (.*)$", r"my \1\2 \3 \4"),
        (r"^does the person have (.*)$", r"I have \1"),
        (r"^does my (\w+) (\w+) (.*)$", r"my \1 does \2 \3"),
        (r"^is the (\w+) \(or are the \w+\) (.*)$", r"the \1 is \2"),
        (r"^is (my nose or the back of my throat) (.*)$", r"\1 is \2"),
        (r"^is (my|the) (\w+) (.*)$", r"\1 \2 is \3"),
        (r"^are (my|the) (symptoms or pain|symptoms|vaccinations) (.*)$", r"\1 \2 are \3"),
        (r"^are the symptoms (.*)$", r"my symptoms are \1"),
    )
)


@dataclass(frozen=True, slots=True)
class DdxPatient:
    """One synthetic patient; `features` are evidence codes such as E_91 or E_54_@_V_161."""

    age: int
    sex: Sex
    condition: str
    features: tuple[str, ...]
    first_complaint: str


def load_patients(path: Path) -> list[DdxPatient]:
    with path.open(encoding="utf-8", newline="") as handle:
        return [
            DdxPatient(
                age=int(row["age"]),
                sex="male" if row["sex"] == "M" else "female",
                condition=row["diagnosis"],
                features=tuple(ast.literal_eval(row["features"])),
                first_complaint=row["feature_id"],
            )
            for row in csv.DictReader(handle)
        ]


class DdxVerbaliser:
    """Writes a patient out as text in one of several styles."""

    def __init__(self, evidences: Mapping[str, Mapping[str, Any]]) -> None:
        self._evidences = evidences

    @classmethod
    def from_file(cls, path: Path) -> DdxVerbaliser:
        return cls({entry["name"]: entry for entry in json.loads(path.read_text(encoding="utf-8")).values()})

    def write(self, patient: DdxPatient, style: Style, rng: random.Random) -> str:
        """Text of one patient; `rng` chooses order, openings and what is left out."""
        grouped = self._grouped(patient, rng)
        first = patient.first_complaint.split("_@_")[0]
        codes = [first] if first in grouped else []
        rest = [code for code in grouped if code != first]
        if style != "full":
            rng.shuffle(rest)
        if style in {"brief", "notes"}:
            rest = rest[: max(4, round(len(rest) * rng.uniform(0.6, 1.0)))]
        if style == "complaint":
            rest = rest[:2]
        sentences = [self._sentence(code, grouped[code], style, rng) for code in codes + rest]
        return " ".join([_opening(patient, style, rng), *[sentence for sentence in sentences if sentence]])

    @staticmethod
    def patient(patient: DdxPatient) -> Patient:
        return Patient(age=float(patient.age), sex=patient.sex)

    def _grouped(self, patient: DdxPatient, rng: random.Random) -> dict[str, list[str]]:
        """Evidence code -> its values. Rash details of patients without a rash are mostly left out: they are noise."""
        has_rash = any(feature == _RASH for feature in patient.features)
        keep_noise = rng.random() < 0.2
        grouped: dict[str, list[str]] = {}
        for feature in patient.features:
            code, _, value = feature.partition("_@_")
            if code in _RASH_ATTRIBUTES and not has_rash and not keep_noise:
                continue
            grouped.setdefault(code, [])
            if value:
                grouped[code].append(value)
        return grouped

    def _sentence(self, code: str, values: list[str], style: Style, rng: random.Random) -> str:
        entry = self._evidences[code]
        question = str(entry["question_en"]).strip()
        if entry["data_type"] == "B":
            if style == "questions":
                return f"{question} Yes."
            statement = statement_from_question(question)
            return _shorten(statement, rng) if style in {"brief", "notes", "complaint"} else statement
        words = [_side(str(entry["value_meaning"].get(value, {}).get("en", value))) for value in values]
        words = [word for word in words if word not in _EMPTY_VALUES]
        if not words:
            return ""
        if style == "questions":
            return f"{question} {', '.join(words)}."
        return _valued_statement(code, words, question, rng)


def statement_from_question(question: str) -> str:
    """'Do you have a cough?' -> 'I have a cough.'"""
    text = question.rstrip("?: ")
    for pattern, replacement in _PRONOUNS:
        text = re.sub(pattern, replacement, text, flags=re.IGNORECASE)
    for rule, replacement in _RULES:
        changed, count = rule.subn(replacement, text)
        if count:
            text = re.sub(r"\bor (do|did|are|were|have) I\b", _second_clause, changed)
            break
    text = re.sub(r"\b(keeping|wake) I\b", r"\1 me", text)
    text = re.sub(r"\s+", " ", text).strip()
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _second_clause(match: re.Match[str]) -> str:
    """'or are I' -> 'or I am': the auxiliary of a second question goes behind its subject."""
    verb = {"do": "", "did": "", "are": " am", "were": " was", "have": " have"}[match[1]]
    return f"or I{verb}"


def _valued_statement(code: str, words: list[str], question: str, rng: random.Random) -> str:
    listed = ", ".join(words[:-1]) + f" and {words[-1]}" if len(words) > 1 else words[0]
    templates: dict[str, tuple[str, ...]] = {
        "E_55": ("I feel pain in my {v}.", "It hurts in the {v}.", "The pain is located at: {v}."),
        "E_57": ("The pain radiates to my {v}.", "It spreads to the {v}."),
        "E_54": ("The pain is {v}.", "I would describe the pain as {v}.", "It feels like {v}."),
        "E_56": ("The pain is {v} out of 10.", "Pain intensity: {v}/10."),
        "E_58": ("The precision of the pain's location is {v} out of 10.",),
        "E_59": ("The speed at which the pain appeared is {v} out of 10.",),
        "E_133": ("The affected skin is on my {v}.", "The rash is on the {v}."),
        "E_130": ("The rash is {v}.",),
        "E_134": ("The pain caused by the rash is {v} out of 10.",),
        "E_132": ("The swelling of the rash is {v} out of 10.",),
        "E_136": ("The itching is {v} out of 10.",),
        "E_135": ("The lesions are larger than 1 cm.",),
        "E_131": ("The lesions peel off.",),
        "E_152": ("I have swelling in my {v}.", "The {v} is swollen."),
        "E_204": ("I recently travelled to {v}.", "In the last four weeks I was in {v}."),
    }
    options = templates.get(code, (question.rstrip("?: ") + ": {v}.",))
    return rng.choice(options).format(v=listed)


def _shorten(statement: str, rng: random.Random) -> str:
    """Drop asides and, mostly, all but one of several alternatives, as people do."""
    text = re.sub(r"\s*\([^()]*\)\)?", "", statement).rstrip(".")
    if " or " in text and rng.random() < 0.5:
        text = text.split(" or ")[0].rstrip(", ")
    return re.sub(r"\s*(?:that you believe are )?related to .*$", "", text) + "."


def _side(value: str) -> str:
    """'iliac wing(R)' -> 'right iliac wing'."""
    match = re.fullmatch(r"(.*)\((R|L)\)", value)
    if not match:
        return value
    return f"{'right' if match[2] == 'R' else 'left'} {match[1].strip()}"


def _opening(patient: DdxPatient, style: Style, rng: random.Random) -> str:
    noun = "man" if patient.sex == "male" else "woman"
    if patient.age < 15:
        noun = "boy" if patient.sex == "male" else "girl"
    if style == "notes":
        return f"{patient.age} y/o {patient.sex}."
    options = (
        f"I am a {patient.age}-year-old {noun}.",
        f"I'm {patient.age} years old, {patient.sex}.",
        f"{patient.age} year old {noun} here.",
        f"Age: {patient.age}. Sex: {patient.sex}.",
    )
    return rng.choice(options)


def labelled_texts(
    patients: list[DdxPatient], verbaliser: DdxVerbaliser, styles: tuple[Style, ...], seed: int
) -> Iterator[tuple[DdxPatient, str]]:
    """Every patient in every named style, reproducibly."""
    for number, patient in enumerate(patients):
        for style in styles:
            rng = random.Random(f"{seed}/{number}/{style}")  # noqa: S311 - variety, not secrecy
            yield patient, verbaliser.write(patient, style, rng)
