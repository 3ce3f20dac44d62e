"""The few sentences that belong to no condition: what an answer says when the evidence does not carry a diagnosis."""

from __future__ import annotations

from app.domain import Language, RiskLevel

INSUFFICIENT_EVIDENCE: dict[Language, str] = {
    "en": "Not enough evidence for a diagnosis",
    "ko": "진단을 제시하기에는 정보가 부족합니다",
}

GENERAL_ADVICE: dict[RiskLevel, dict[Language, str]] = {
    "low": {
        "en": "If symptoms last or get worse, see a clinician.",
        "ko": "증상이 지속되거나 심해지면 의료진의 진료를 받으십시오.",
    },
    "moderate": {
        "en": "Arrange an examination by a clinician soon.",
        "ko": "가까운 시일 안에 의료진의 진료를 받으십시오.",
    },
    "high": {
        "en": "Have the patient examined by a clinician today.",
        "ko": "오늘 안에 의료진의 진찰을 받게 하십시오.",
    },
    "critical": {
        "en": "Treat this as an emergency: call the emergency services or go to an emergency department now.",
        "ko": "응급 상황으로 간주하십시오: 지금 바로 119에 연락하거나 응급실로 가십시오.",
    },
}
