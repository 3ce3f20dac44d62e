"""Looks a message up by code and language."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from app.api.messages.learning import EXCLUSIONS, OUTCOMES
from app.api.messages.problems import PROBLEMS, TITLES
from app.api.messages.text import Message
from app.api.messages.validation import VALIDATION
from app.api.messages.warnings import NOTICES, WARNINGS
from app.domain import Language

Params = Mapping[str, str | int | float]


def problem_title(status: int, language: Language) -> str:
    """What kind of failure a status is; the HTTP phrase for one that this service never chooses itself."""
    message = TITLES.get(status)
    return HTTPStatus(status).phrase if message is None else message.in_language(language)


def problem_detail(code: str, language: Language, params: Params) -> str:
    """KeyError for an unknown code: a test proves that there is none."""
    return _fill(PROBLEMS[code], language, params)


def field_detail(code: str, language: Language, params: Params) -> str:
    """What is wrong with one field; a refused file is explained as the problem itself is."""
    return _fill(VALIDATION.get(code) or PROBLEMS[code], language, params)


def warning_text(code: str, language: Language) -> str:
    return WARNINGS[code].in_language(language)


def notice_text(code: str, language: Language) -> str:
    return NOTICES[code].in_language(language)


def outcome_text(outcome: str, reason: str | None, language: Language) -> str:
    """What became of a feedback row; `reason` is worded where it is one of `ExclusionReason`."""
    sentences = [OUTCOMES[outcome].in_language(language)]
    if reason in EXCLUSIONS:
        sentences.append(EXCLUSIONS[reason].in_language(language))
    return " ".join(sentences)


def _fill(message: Message, language: Language, params: Params) -> str:
    return message.in_language(language).format(**params)
