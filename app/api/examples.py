"""Requests and answers shown in the API's own documentation, in both languages. No example is a real patient."""

from __future__ import annotations

from typing import Any

ANALYZE_REQUESTS: dict[str, Any] = {
    "korean": {
        "summary": "가슴 통증 (한국어)",
        "value": {
            "text": "58세 남성, 한 시간 전부터 가슴이 쥐어짜듯 아프고 왼팔이 저리며 식은땀이 납니다. 기침은 없습니다.",
            "language": "ko",
            "patient": {
                "age": 58,
                "sex": "male",
                "vitals": {"sbp": 150, "dbp": 95, "heart_rate": 104, "spo2": 95},
                "consciousness": "alert",
                "pain": 8,
            },
        },
    },
    "english": {
        "summary": "Fever and cough (English)",
        "value": {
            "text": "I have had a fever and a cough with yellow phlegm for three days, and no chest pain.",
            "patient": {"age": 34, "sex": "female", "vitals": {"temperature": 38.7}},
        },
    },
    "image": {
        "summary": "An image as a data: URI",
        "value": {
            "text": "Itchy red patch on the forearm since last week.",
            "image": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAAEUlEQVR42mPcwoAKmBhGtAAA"
            "0JwA1BxVCrQAAAAASUVORK5CYII=",
        },
    },
}

FEEDBACK_REQUESTS: dict[str, Any] = {
    "by_id": {
        "summary": "On an analysis",
        "value": {
            "analysis_id": "an_3f0c8a52b2a54b0e9d2b4f4f5f1b7d11",
            "is_correct": False,
            "corrected_diagnosis": "급성 심근경색",
            "comments": "ECG showed ST elevation.",
        },
    },
    "by_query": {
        "summary": "On a query and its prediction",
        "value": {"query": "Fever and cough for three days", "prediction": "Pneumonia", "is_correct": True},
    },
}

_METADATA: dict[str, Any] = {
    "categories": ["심장내과"],
    "modalities": ["text", "vitals"],
    "attribution": {"omni/text": 0.42, "medical/text": 0.33, "findings": 0.19, "vitals": 0.06},
    "supporting": [
        {"name": "흉통", "status": "present", "effect": 1.842},
        {"name": "기침", "status": "absent", "effect": 0.214},
    ],
    "opposing": [],
    "profile": "embedded",
    "models": {"omni": "0a1b2c3d4e5f", "medical": "5f4e3d2c1b0a", "knowledge": "9f8e7d6c5b4a", "fusion": "v1"},
    "language": "ko",
    "timings_ms": {"queue": 0.2, "findings": 3.1, "omni": 41.0, "medical": 38.5, "fusion": 2.4, "total": 92.7},
    "warnings": [],
    "red_flags": ["식은땀을 동반한 흉통"],
    "scores": [],
    "coverage": 0.9,
    "set_size": 2,
}

FEEDBACK_ANSWER: dict[str, Any] = {
    "feedback_id": "fb_5d0c2a8e4f6b4a0d9d2b7c1e3f5a7b90",
    "message": "감사합니다. 피드백이 저장되었습니다.",
}

ANALYZE_ANSWER: dict[str, Any] = {
    "analysis_id": "an_3f0c8a52b2a54b0e9d2b4f4f5f1b7d11",
    "status": "ok",
    "diagnosis": "급성 심근경색",
    "risk": {"score": 0.91, "level": "critical", "confidence": 0.74, "triage": 1},
    "recommendations": ["지금 바로 119에 연락하십시오."],
    "differential": [
        {"condition_id": "acute_myocardial_infarction", "icd10": "I21.9", "name": "급성 심근경색", "probability": 0.74},
        {"condition_id": "unstable_angina", "icd10": "I20.0", "name": "불안정 협심증", "probability": 0.17},
    ],
    "findings": [
        {"name": "흉통", "present": True, "status": "present", "quote": "가슴이 쥐어짜듯 아프고", "effect": 1.842},
        {"name": "기침", "present": False, "status": "absent", "quote": "기침은 없습니다", "effect": 0.214},
    ],
    "saliency": [],
    "metadata": _METADATA,
    "disclaimer": "이 결과는 의사결정 지원용이며 진단이 아닙니다.",
}
