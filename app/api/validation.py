"""Pydantic's findings as our own: a JSON pointer, a stable code and limits; never the value, never an unknown key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.errors import InvalidInputError

MAX_FIELD_ERRORS = 20
ModelT = TypeVar("ModelT", bound=BaseModel)

_CODES: Mapping[str, str] = {
    "missing": "field_required",
    "extra_forbidden": "field_unknown",
    "string_type": "not_a_string",
    "float_type": "not_a_number",
    "int_type": "not_an_integer",
    "bool_type": "not_a_boolean",
    "model_type": "not_an_object",
    "model_attributes_type": "not_an_object",
    "list_type": "not_a_list",
    "finite_number": "not_finite",
    "greater_than_equal": "too_small",
    "less_than_equal": "too_large",
    "too_short": "too_short",
    "string_too_short": "too_short",
    "too_long": "too_long",
    "string_too_long": "too_long",
    "literal_error": "not_a_choice",
    "blood_pressure_order": "blood_pressure_order",
    "null_character": "null_character",
}
_LIMITS = ("ge", "le", "min_length", "max_length")


@dataclass(frozen=True, slots=True)
class FieldError:
    """`pointer` is RFC 6901's, "" for the whole body."""

    pointer: str
    code: str
    params: Mapping[str, str | int | float] = field(default_factory=dict)


class ValidationFailedError(InvalidInputError):
    """Fields that are not as they must be."""

    def __init__(self, fields: Sequence[FieldError]) -> None:
        super().__init__("validation_failed")
        self.fields = tuple(fields)[:MAX_FIELD_ERRORS]


def validate(model: type[ModelT], value: object, *, at: str = "") -> ModelT:
    """ValidationFailedError naming what is wrong, with pointers below `at`."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise ValidationFailedError([_field_error(model, dict(item), at) for item in found]) from None


def pointer_to(*parts: str | int) -> str:
    """RFC 6901: `/image/0`."""
    return "".join(f"/{part}" for part in parts)


def _field_error(model: type[BaseModel], item: Mapping[str, Any], at: str) -> FieldError:
    code = _CODES.get(item["type"], "value_invalid")
    location: tuple[str | int, ...] = item["loc"]
    if code == "field_unknown":  # the last part is the client's own key: it could be anything
        owner = _model_at(model, location[:-1])
        return FieldError(at + pointer_to(*location[:-1]), code, {"known": ", ".join(owner.model_fields)})
    return FieldError(at + pointer_to(*location), code, _params(code, item.get("ctx", {})))


def _params(code: str, context: Mapping[str, Any]) -> dict[str, str | int | float]:
    if code == "not_a_choice":
        return {"choices": str(context["expected"]).replace("'", "")}
    limit = next((context[name] for name in _LIMITS if name in context), None)
    return {} if limit is None else {"limit": limit}


def _model_at(model: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel]:
    """The model that a location inside `model` is of; only models hold fields, so every part is a field name."""
    for part in location:
        annotation = model.model_fields[str(part)].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next(kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel))
    return model
