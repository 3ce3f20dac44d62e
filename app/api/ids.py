"""Ids in addresses: one that cannot be is as unknown as one that is not there, and is never looked up."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import Request

from app.errors import NotFoundError

ID_PATTERN = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
_SANE_ID = re.compile(ID_PATTERN.strip("^$"))


def _sane(request: Request, name: str) -> str | None:
    value = str(request.path_params[name])
    return value if _SANE_ID.fullmatch(value) else None


def _run_id(request: Request) -> str:
    run_id = _sane(request, "run_id")
    if run_id is None:
        raise NotFoundError("run_not_found")
    return run_id


def _version_id(request: Request) -> str:
    version = _sane(request, "version")
    if version is None:
        raise NotFoundError("version_not_found")
    return version


def _feedback_id(request: Request) -> str:
    feedback_id = _sane(request, "feedback_id")
    if feedback_id is None:
        raise NotFoundError("feedback_not_found")
    return feedback_id


RunId = Annotated[str, Depends(_run_id)]
VersionId = Annotated[str, Depends(_version_id)]
FeedbackId = Annotated[str, Depends(_feedback_id)]


def id_parameter(name: str, description: str, example: str) -> dict[str, Any]:
    """The OpenAPI parameter of an id in the path."""
    schema = {"type": "string", "pattern": ID_PATTERN}
    return {
        "name": name, "in": "path", "required": True, "description": description, "schema": schema, "example": example,
    }  # fmt: skip
