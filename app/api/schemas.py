"""Wire types of the requests: strict (a number is no string) and closed (an unknown field is an error)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError

from app.api.text import clean
from app.domain import Consciousness, Feedback, Language, Patient, Sex, Vitals
from app.errors import InvalidInputError

MAX_IMAGES = 4
MAX_ID_CHARS = 64
MAX_FEEDBACK_TEXT_CHARS = 20_000
MAX_NAME_CHARS = 500


class WireModel(BaseModel):
    """Frozen, strict, closed; no NaN and no infinity."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def _number(low: float, high: float, unit: str) -> Any:
    return Field(default=None, ge=low, le=high, description=f"{unit}, {low:g} to {high:g}")


class VitalsRequest(WireModel):
    """Vital signs; leave out what was not measured."""

    sbp: float | None = _number(30, 300, "Systolic blood pressure in mmHg")
    dbp: float | None = _number(10, 220, "Diastolic blood pressure in mmHg, below sbp")
    heart_rate: float | None = _number(0, 350, "Beats per minute")
    respiratory_rate: float | None = _number(0, 120, "Breaths per minute")
    temperature: float | None = _number(20, 46, "Body temperature in degrees Celsius")
    spo2: float | None = _number(20, 100, "Oxygen saturation in percent")

    @model_validator(mode="after")
    def _pressures_in_order(self) -> Self:
        if self.sbp is not None and self.dbp is not None and self.sbp <= self.dbp:
            raise PydanticCustomError("blood_pressure_order", "sbp must be above dbp")
        return self

    def to_domain(self) -> Vitals:
        return Vitals(**self.model_dump())


class PatientRequest(WireModel):
    """What is known of the patient."""

    age: float | None = _number(0, 130, "Age in years")
    sex: Sex | None = Field(default=None, description="Sex")
    vitals: VitalsRequest | None = Field(default=None, description="Vital signs")
    consciousness: Consciousness | None = Field(default=None, description="Level on the AVPU scale")
    pain: int | None = Field(default=None, ge=0, le=10, description="Pain on the numeric rating scale, 0 to 10")

    def to_domain(self) -> Patient:
        vitals = Vitals() if self.vitals is None else self.vitals.to_domain()
        return Patient(self.age, self.sex, vitals, self.consciousness, self.pain)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Images = Annotated[
    Annotated[list[str], Field(min_length=1, max_length=MAX_IMAGES)] | None,
    BeforeValidator(_as_list),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_IMAGES},
                {"type": "null"},
            ]
        }
    ),
]


class AnalyzeRequest(WireModel):
    """One case. At least one of text, image, audio and video; media as base64 or a `data:` URI, never a path or URL."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": [name]} for name in ("text", "image", "audio", "video")]}
    )

    text: str | None = Field(default=None, description="The case in Korean or English")
    image: Images = Field(default=None, description="JPEG, PNG, WebP, BMP, TIFF or DICOM; one, or a list of up to 4")
    audio: str | None = Field(default=None, description="WAV, FLAC, MP3, OGG or M4A")
    video: str | None = Field(default=None, description="MP4, WebM or MOV")
    language: Language | None = Field(
        default=None, description="Language of the answer; else the text's, else Accept-Language's, else English"
    )
    explain: bool | None = Field(
        default=None,
        description="Whether to draw where in each image the first condition's support lies: takes seconds",
    )
    patient: PatientRequest | None = Field(default=None, description="What is known of the patient")


def _cleaned(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if "\x00" in value:
        raise PydanticCustomError("null_character", "holds a null character")
    return clean(value)


Text = Annotated[str, BeforeValidator(_cleaned), Field(min_length=1, max_length=MAX_FEEDBACK_TEXT_CHARS)]
Name = Annotated[str, BeforeValidator(_cleaned), Field(min_length=1, max_length=MAX_NAME_CHARS)]


class FeedbackRequest(WireModel):
    """A verdict on one analysis, named by `analysis_id`, or by `query` and `prediction` together."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["analysis_id"]}, {"required": ["query", "prediction"]}]}
    )

    analysis_id: Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)] | None = Field(
        default=None, description="From the answer of an analysis"
    )
    query: Text | None = Field(default=None, description="The case text; kept only where the server keeps texts")
    prediction: Name | None = Field(default=None, description="The diagnosis that was answered")
    is_correct: bool = Field(description="Whether the diagnosis was right")
    comments: Text | None = Field(default=None, description="Free remarks, without anything that names the patient")
    corrected_diagnosis: Name | None = Field(
        default=None, description="The right diagnosis: an ICD-10 code, a condition_id, or a name in Korean or English"
    )

    def to_domain(self) -> Feedback:
        """InvalidInputError where it is not said, or said twice, what the feedback is about."""
        described = self.query is not None or self.prediction is not None
        if self.analysis_id is not None and described:
            raise InvalidInputError("feedback_subject_twice")
        if self.analysis_id is None and (self.query is None or self.prediction is None):
            raise InvalidInputError("feedback_subject_missing")
        return Feedback(**self.model_dump())


class ActivateRequest(WireModel):
    """Which version was seen to be active: if it is another one by now, nothing is changed."""

    expected: Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)] | None = Field(
        default=None, description="The version that must be the active one; left out: whichever is"
    )


class ProblemField(BaseModel):
    """What is wrong with one field."""

    pointer: str = Field(description="RFC 6901 pointer into the body", examples=["/patient/vitals/sbp"])
    code: str = Field(examples=["too_large"])
    detail: str = Field(examples=["The value must be at most 300.0."])


class Problem(BaseModel):
    """RFC 9457 problem."""

    type: str = Field(examples=["urn:medmodal-fusion:problem:case_empty"])
    title: str = Field(examples=["Invalid input"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["Give at least one of text, image, audio or video."])
    code: str = Field(description="Stable; listed in docs/API.md", examples=["case_empty"])
    request_id: str = Field(examples=["3f0c8a52b2a54b0e9d2b4f4f5f1b7d11"])
    errors: list[ProblemField] | None = None


StorageHealth = Literal["ok", "failing", "unknown"]
