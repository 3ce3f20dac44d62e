"""Names of the medical specialties."""

from __future__ import annotations

from app.domain import Language
from app.knowledge.schema import Specialty

_NAMES: dict[Specialty, tuple[str, str]] = {
    "cardiology": ("Cardiology", "심장내과"),
    "pulmonology": ("Pulmonology", "호흡기내과"),
    "infectious_disease": ("Infectious disease", "감염내과"),
    "gastroenterology": ("Gastroenterology", "소화기내과"),
    "neurology": ("Neurology", "신경과"),
    "emergency": ("Emergency medicine", "응급의학과"),
    "dermatology": ("Dermatology", "피부과"),
    "ent": ("Ear, nose and throat", "이비인후과"),
    "ophthalmology": ("Ophthalmology", "안과"),
    "urology": ("Urology", "비뇨의학과"),
    "obstetrics_gynecology": ("Obstetrics and gynaecology", "산부인과"),
    "endocrinology": ("Endocrinology", "내분비내과"),
    "hematology_oncology": ("Haematology and oncology", "혈액종양내과"),
    "rheumatology": ("Rheumatology", "류마티스내과"),
    "orthopedics": ("Orthopaedics", "정형외과"),
    "psychiatry": ("Psychiatry", "정신건강의학과"),
    "pediatrics": ("Paediatrics", "소아청소년과"),
    "allergy_immunology": ("Allergy and immunology", "알레르기내과"),
    "nephrology": ("Nephrology", "신장내과"),
    "general": ("General practice", "가정의학과"),
}


def specialty_name(specialty: Specialty, language: Language) -> str:
    english, korean = _NAMES[specialty]
    return korean if language == "ko" else english
