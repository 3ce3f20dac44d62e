"""The change record of a learning run as Markdown: what changed, how, with what effect, who decided and activated.

Shaped after FDA's guidance on predetermined change control plans (docket FDA-2022-D-2628): description of
modifications, modification protocol, impact assessment. Pure: `report` is what the run stored, and only fields that are
named here are shown, so that whatever else a report may come to hold stays out. A missing value reads "not recorded".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.adaptation import AuditEntry
from app.domain import Language
from app.services.change_record_figures import change, flat, gain
from app.services.change_record_words import CHECKS, HEADINGS, LABELS, PARAGRAPHS, TERMS, TRACES
from app.services.markdown import code_span, number, table

_KEY_CHARS = 16
"""Of a caller's digest: enough to tell keys apart."""
_BYTES_PER_MB = 1e6


def render_markdown(report: Mapping[str, Any], language: Language, activations: Sequence[AuditEntry]) -> str:
    """The whole record; `activations` are the audit log's entries about the candidate, oldest first."""
    record = _Record(report, language)
    blocks = [
        *record.head(),
        *record.modification(),
        *record.protocol(),
        *record.impact(),
        *record.decision(),
        *record.activations(activations),
    ]
    return "\n\n".join(blocks) + "\n"


@dataclass(frozen=True, slots=True)
class _Record:
    """Every method gives Markdown blocks: headings, paragraphs, tables."""

    report: Mapping[str, Any]
    language: Language

    def head(self) -> list[str]:
        run = code_span(self.report.get("run_id"))
        rows = [(self._label("run"), run)]
        rows += [(self._label("trigger"), self._term(self.report.get("trigger")))]
        rows += [(self._label("requested_by"), self._who(self.report.get("requested_by")))]
        rows += [(self._label(name), self._time(self.report.get(name))) for name in _TIMES]
        return ["# " + HEADINGS["title"].to(self.language).format(run=run), self._text("shape"), self._pairs(rows)]

    def modification(self) -> list[str]:
        part = _part(self.report, "modification")
        adapter, feedback = _part(part, "adapter"), _part(part, "feedback")
        network = [(self._label(name), self._code(part.get(name))) for name in ("parent_version", "candidate_version")]
        network += [
            (self._label("adapter"), ", ".join(f"{name} {self._value(adapter.get(name))}" for name in _ADAPTER)),
            (self._label("target_modules"), self._codes(adapter.get("target_modules"))),
            (self._label("modules_to_save"), self._codes(adapter.get("modules_to_save"))),
            (self._label("parameters"), self._both(adapter, "trainable_parameters", "total_parameters", " / ")),
        ]
        network += [(self._label(name), self._code(part.get(name))) for name in _PROVENANCE]
        learnt = [(self._label(name), self._value(feedback.get(name))) for name in _FEEDBACK]
        learnt += [(self._label("replay"), self._both(_part(part, "replay"), "cases", "left_out"))]
        blocks = [self._heading("modification"), self._text("scope"), self._heading("network"), self._pairs(network)]
        blocks += [self._heading("feedback"), self._pairs(learnt)]
        blocks += self._counts("label", _part(feedback, "labels")) + self._counts(
            "excluded", _part(feedback, "excluded")
        )
        if moved := part.get("redefinitions"):
            columns = ("from", "to", "rows", "keys")
            table = [
                [self._code(row.get("from")), self._code(row.get("to")), *self._row(row, columns[2:])] for row in moved
            ]
            blocks += [self._text("redefinitions"), self._table(columns, table)]
        if redefined := part.get("redefined"):
            blocks += [self._text("redefined") + " " + self._codes(redefined)]
        return blocks

    def protocol(self) -> list[str]:
        part = _part(self.report, "protocol")
        gate, training = _part(part, "gate_set"), _part(part, "training")
        settings = _part(_part(self.report, "modification"), "settings")
        data = [
            (self._label("gate_cases"), self._value(gate.get("cases"))),
            (self._label("gate_digest"), self._code(gate.get("digest"))),
            (self._label("emergencies"), self._value(_part(part, "emergencies").get("cases"))),
            (self._label("held_out_rows"), self._both(_part(part, "held_out"), "rows", "earlier_rows")),
        ]
        trained = [
            (self._label("seed"), self._value(part.get("seed"))),
            (self._label("steps"), self._both(training, "steps", "best_step")),
            (self._label("train_loss"), self._value(training.get("train_loss"))),
            (self._label("validation_loss"), self._losses(training.get("validation_loss"))),
            (self._label("seconds"), self._value(training.get("seconds"))),
            (self._label("peak_memory"), self._megabytes(training.get("peak_memory_bytes"))),
        ]
        chosen = [[self._code(name), self._value(value)] for name, value in sorted(settings.items())]
        margins = [
            [self._code(name), self._check(name), self._value(margin)]
            for name, margin in _part(part, "margins").items()
        ]
        traces = [[phrase.to(self.language) for phrase in row] for row in TRACES]
        return [
            *(self._heading("protocol"), self._heading("data"), self._text("data"), self._pairs(data)),
            *(self._heading("training"), self._pairs(trained), self._table(("setting", "value"), chosen)),
            *(self._heading("evaluation"), self._text("evaluation")),
            self._table(("figure", "meaning", "margin"), margins),
            *(self._heading("update"), self._text("update"), self._heading("traceability")),
            self._table(("modified", "made_by", "checked_by"), traces),
        ]

    def impact(self) -> list[str]:
        part = _part(self.report, "impact")
        checks = list(part.get("checks") or ())
        compared = [
            [
                self._check(row.get("name")),
                *self._row(row, ("serving", "candidate")),
                self._change(row),
                *self._row(row, _RESULT),
            ]
            for row in checks
        ]
        specialties = [
            [self._code(row.get("name")), *self._row(row, ("cases", "serving_loss", "candidate_loss", "passed"))]
            for row in part.get("specialties") or ()
        ]
        return [
            *(self._heading("impact"), self._heading("checks")),
            self._table(("figure", "serving", "candidate", "change", "margin", "passed"), compared),
            self._heading("specialties"),
            self._table(("specialty", "cases", "serving", "candidate", "passed"), specialties),
            *(self._heading("held_out"), self._table(("figure", "serving", "candidate"), self._figures(part))),
            *(
                self._heading("benefit_risk"),
                self._benefits(checks),
                self._text("local_risk"),
                self._text("cumulative"),
            ),
        ]

    def decision(self) -> list[str]:
        part = _part(self.report, "decision")
        known = part.get("decision") in {"promote", "reject"}
        blocks = [self._heading("decision"), self._text(str(part["decision"]) if known else "undecided")]
        rows = [(self._label("reason"), self._code(part["reason"]))] if part.get("reason") else []
        rows += (
            [(self._label("failed"), ", ".join(self._check(name) for name in part["failed"]))]
            if part.get("failed")
            else []
        )
        return [*blocks, self._pairs(rows)] if rows else blocks

    def activations(self, entries: Iterable[AuditEntry]) -> list[str]:
        rows = [
            [
                self._time(entry.at),
                self._term(entry.action),
                self._code(entry.subject),
                self._who(entry.actor),
                f"{entry.sequence} ({code_span(entry.digest[:_KEY_CHARS])})",
            ]
            for entry in entries
        ]
        columns = ("at", "action", "version", "by", "entry")
        return [self._heading("activations"), self._table(columns, rows) if rows else self._text("not_activated")]

    # ------------------------------------------------------------------ parts of a block
    def _figures(self, impact: Mapping[str, Any]) -> list[list[str]]:
        held_out, calibration = _part(impact, "held_out"), _part(impact, "calibration")
        serving, candidate = _part(held_out, "serving"), _part(held_out, "candidate")
        rows = [
            [self._label(name), self._value(serving.get(name)), self._value(candidate.get(name))]
            for name in ("accuracy", "log_loss")
        ]
        before, after = (flat(_part(calibration, version)) for version in ("serving", "candidate"))
        title = self._label("calibration")
        return rows + [
            [f"{title}: {code_span(name)}", self._value(before.get(name)), self._value(after.get(name))]
            for name in dict.fromkeys([*before, *after])
        ]

    def _benefits(self, checks: Iterable[Mapping[str, Any]]) -> str:
        found: dict[str, list[str]] = {"better": [], "worse": [], "failed": []}
        for row in checks:
            gained = gain(row)
            kind = (
                "failed" if row.get("passed") is False else "better" if gained > 0 else "worse" if gained < 0 else None
            )
            if kind is not None:
                found[kind].append(self._check(row.get("name")))
        none = PARAGRAPHS["none"].to(self.language)
        return "\n".join(f"- {self._label(kind)}: {'; '.join(names) or none}" for kind, names in found.items())

    def _change(self, check: Mapping[str, Any]) -> str:
        difference = change(check)
        return self._missing() if difference is None else f"{difference:+.4f}"

    def _counts(self, label: str, counts: Mapping[str, Any]) -> list[str]:
        """A table of codes and their numbers, the most first; nothing where there are none."""
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        rows = [[self._term(name), self._value(number)] for name, number in ordered]
        return [self._table((label, "rows"), rows)] if rows else []

    def _losses(self, losses: Sequence[float] | None) -> str:
        return ", ".join(map(number, (losses[0], min(losses), losses[-1]))) if losses else self._missing()

    def _megabytes(self, size: float | None) -> str:
        return self._missing() if size is None else number(round(size / _BYTES_PER_MB))

    def _both(self, part: Mapping[str, Any], first: str, second: str, joint: str = "; ") -> str:
        return f"{self._value(part.get(first))}{joint}{self._value(part.get(second))}"

    def _row(self, row: Mapping[str, Any], names: Iterable[str]) -> list[str]:
        return [self._value(row.get(name)) for name in names]

    # ------------------------------------------------------------------ words and cells
    def _heading(self, name: str) -> str:
        title = HEADINGS[name].to(self.language)
        return ("## " if title[1:3] == ". " else "### ") + title

    def _text(self, name: str) -> str:
        return PARAGRAPHS[name].to(self.language)

    def _label(self, name: str) -> str:
        return LABELS[name].to(self.language)

    def _missing(self) -> str:
        return self._label("unrecorded")

    def _term(self, code: Any) -> str:
        """The code in words; itself where it has none."""
        phrase = TERMS.get(str(code))
        return self._code(code) if phrase is None else phrase.to(self.language)

    def _check(self, name: Any) -> str:
        phrase = CHECKS.get(str(name))
        return self._code(name) if phrase is None else phrase.to(self.language)

    def _who(self, actor: Any) -> str:
        """A person is known by the first characters of the digest of the API key."""
        if actor is None:
            return self._missing()
        known = TERMS.get(str(actor) or "local")
        return f"API {self._key(actor)}" if known is None else known.to(self.language)

    def _key(self, digest: Any) -> str:
        return f"{'키' if self.language == 'ko' else 'key'} {code_span(str(digest)[:_KEY_CHARS])}"

    def _time(self, value: Any) -> str:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return self._missing() if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"

    def _code(self, value: Any) -> str:
        return self._missing() if value is None else code_span(value)

    def _codes(self, values: Sequence[Any] | None) -> str:
        return ", ".join(map(code_span, values)) if values else self._missing()

    def _value(self, value: Any) -> str:
        if value is None:
            return self._missing()
        if isinstance(value, bool):
            return self._label("yes" if value else "no")
        if isinstance(value, int | float):
            return number(value)
        return self._codes(value) if isinstance(value, list | tuple) else code_span(value)

    def _pairs(self, rows: Iterable[tuple[str, str]]) -> str:
        return table(("", ""), rows)

    def _table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        return table([self._label(name) for name in columns], rows) if rows else self._missing()


_TIMES = ("created_at", "started_at", "finished_at")
_ADAPTER = ("r", "alpha", "dropout")
_PROVENANCE = ("code_revision", "service_version", "knowledge_version", "learning_sets")
_FEEDBACK = ("train", "earlier", "validation", "held_out", "keys", "weight_total")
_RESULT = ("margin", "passed")


def _part(mapping: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What stands below a name; empty where it is missing."""
    return mapping.get(name) or {}
