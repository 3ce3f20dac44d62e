"""A case in, an answer out, in both languages and every modality, on the real embedded pair."""

import base64
import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.evaluation.quality import encode_mp4
from app.evaluation.service import MeasuredService
from app.evaluation.speed import audio_text_case

pytestmark = pytest.mark.embedded

CHEST_PAIN_KO = (
    "58세 남성입니다. 한 시간 전부터 가슴이 쥐어짜듯 아프고 왼팔까지 뻗쳐요. 식은땀이 나고 숨이 차요. 열은 없어요."
)
CHEST_PAIN_EN = (
    "I am a 58-year-old man. For an hour I have had crushing chest pain that goes to my left arm. "
    "I am sweating and short of breath. I have no fever."
)
HEART = {"acute_myocardial_infarction", "unstable_angina", "stable_angina", "aortic_dissection"}


def analyze(client: httpx.Client, **body: Any) -> dict[str, Any]:
    response = client.post("/api/v1/analyze", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def picture(size: int = 320) -> str:
    """A smooth grey picture; what it shows does not matter here."""
    coarse = np.random.default_rng(7).integers(40, 200, (12, 12), dtype=np.uint8)
    target = io.BytesIO()
    Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC).save(target, "PNG")
    return base64.b64encode(target.getvalue()).decode()


def video() -> str:
    frames = np.random.default_rng(8).integers(0, 255, (6, 96, 128, 3), dtype=np.uint8)
    return base64.b64encode(encode_mp4(frames, 2)).decode()


@pytest.mark.parametrize(("language", "text"), [("ko", CHEST_PAIN_KO), ("en", CHEST_PAIN_EN)], ids=["ko", "en"])
def test_chest_pain_is_recognised_as_dangerous(client: httpx.Client, language: str, text: str) -> None:
    answer = analyze(client, text=text)
    assert answer["metadata"]["language"] == language
    assert {entry["condition_id"] for entry in answer["differential"][:3]} & HEART
    assert answer["risk"]["level"] in {"high", "critical"}
    assert answer["risk"]["triage"] <= 2
    assert 0.0 <= answer["risk"]["score"] <= 1.0
    assert answer["recommendations"]
    assert answer["disclaimer"]
    polarity = {finding["quote"]: finding["present"] for finding in answer["findings"]}
    assert polarity
    assert not all(polarity.values()), "the denied fever is read as denied"
    for quote in polarity:
        assert quote in text


def test_answers_are_worded_in_the_language_asked_for(client: httpx.Client) -> None:
    korean = analyze(client, text=CHEST_PAIN_EN, language="ko")
    english = analyze(client, text=CHEST_PAIN_EN, language="en")
    assert any("가" <= letter <= "힣" for letter in korean["diagnosis"] + korean["disclaimer"])
    assert english["diagnosis"].isascii()
    assert [e["condition_id"] for e in korean["differential"]] == [e["condition_id"] for e in english["differential"]]


def test_probabilities_are_ranked_and_attribution_sums_to_one(client: httpx.Client) -> None:
    answer = analyze(client, text=CHEST_PAIN_EN, image=picture(), patient={"age": 58, "vitals": {"spo2": 91}})
    probabilities = [entry["probability"] for entry in answer["differential"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(answer["metadata"]["attribution"].values()) == pytest.approx(1.0, abs=0.01)
    assert {"text", "image", "vitals"} <= set(answer["metadata"]["modalities"])


@pytest.mark.parametrize(
    ("body", "modality"),
    [({"image": picture()}, "image"), ({"image": [picture(), picture(200)]}, "image"), ({"video": video()}, "video")],
)
def test_media_alone_are_answered(client: httpx.Client, body: dict[str, Any], modality: str) -> None:
    answer = analyze(client, **body)
    assert modality in answer["metadata"]["modalities"]
    assert answer["status"] in {"ok", "insufficient_evidence"}


def test_everything_together(client: httpx.Client) -> None:
    answer = analyze(
        client,
        text=CHEST_PAIN_KO,
        image=[picture()] * 4,
        audio=audio_text_case(1)["audio"],
        video=video(),
        patient={"age": 58, "sex": "male", "vitals": {"sbp": 82, "dbp": 50, "heart_rate": 128}, "pain": 8},
    )
    assert set(answer["metadata"]["modalities"]) == {"text", "image", "audio", "video", "vitals"}
    assert answer["risk"]["level"] == "critical"


def test_the_same_case_gives_the_same_answer(client: httpx.Client) -> None:
    first, second = (analyze(client, text=CHEST_PAIN_EN) for _ in range(2))
    for key in ("diagnosis", "risk", "differential", "findings"):
        assert first[key] == second[key]
    assert first["analysis_id"] != second["analysis_id"]


def test_upload_answers_like_json(client: httpx.Client) -> None:
    raw = base64.b64decode(picture())
    response = client.post(
        "/api/v1/analyze_upload",
        data={"text": CHEST_PAIN_EN, "patient": json.dumps({"age": 58})},
        files=[("image", ("x.png", raw, "image/png"))],
    )
    assert response.status_code == 200, response.text
    same = analyze(client, text=CHEST_PAIN_EN, image=picture(), patient={"age": 58})
    assert response.json()["differential"] == same["differential"]


def test_feedback_on_an_analysis_is_kept_and_idempotent(client: httpx.Client) -> None:
    analysis = analyze(client, text=CHEST_PAIN_KO)
    body = {"analysis_id": analysis["analysis_id"], "is_correct": False, "corrected_diagnosis": "심근경색"}
    headers = {"Idempotency-Key": f"key-{analysis['analysis_id']}"}
    first = client.post("/api/v1/feedback", json=body, headers=headers)
    again = client.post("/api/v1/feedback", json=body, headers=headers)
    assert first.status_code == 201, first.text
    assert again.json()["feedback_id"] == first.json()["feedback_id"]


def test_ready_soon_and_within_memory(service: MeasuredService, client: httpx.Client) -> None:
    for _ in range(3):
        analyze(client, text=CHEST_PAIN_EN, image=picture(448))
    assert service.ready_s is not None
    assert service.ready_s < 60  # 15 s is the stated figure; shared test machines are slower
    resident = service.resident_mb()
    assert resident is not None
    assert resident < 1500
