"""Both analyse routes: what a good request gets."""

from __future__ import annotations

import json
import unicodedata

import httpx
import pytest

from tests.api.harness import ANALYZE, ENGLISH, KOREAN, UPLOAD, asgi_client
from tests.api.media_files import b64, png, wav
from tests.services.fakes import CONDITIONS, FakeEncoder, FakePredictor, FakeStorage, components

KEYS = {"analysis_id", "status", "diagnosis", "risk", "recommendations", "differential", "findings"} | {
    "metadata",
    "saliency",
    "disclaimer",
}
METADATA = {"categories", "modalities", "attribution", "profile", "models", "language", "timings_ms", "warnings"} | {
    "supporting",
    "opposing",
}


async def test_the_answer_has_the_stated_shape() -> None:
    async with asgi_client(components(), profile="clinic-a") as client:
        response = await client.post(ANALYZE, json={"text": KOREAN, "patient": {"age": 58, "vitals": {"sbp": 90}}})
    answer = response.json()
    assert response.status_code == 200
    assert set(answer) == KEYS
    assert set(answer["metadata"]) >= METADATA
    assert answer["risk"] == {"score": 0.8, "level": "critical", "confidence": 0.6, "triage": 1}
    probabilities = [item["probability"] for item in answer["differential"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert set(answer["differential"][0]) == {"condition_id", "icd10", "name", "probability"}
    assert answer["findings"] == [
        {
            "name": "가슴 통증",
            "present": True,
            "status": "present",
            "quote": "가슴 통증",
            "duration_days": None,
            "effect": None,
        }
    ]
    assert answer["metadata"]["modalities"] == ["text", "vitals"]
    assert answer["metadata"]["profile"] == "clinic-a"
    assert answer["metadata"]["models"]["fusion"] == "f1"
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("body", "headers", "language"),
    [
        ({"text": KOREAN}, {}, "ko"),
        ({"text": ENGLISH}, {}, "en"),
        ({"text": ENGLISH}, {"Accept-Language": "ko"}, "en"),
        ({"text": ENGLISH, "language": "ko"}, {}, "ko"),
        ({"text": KOREAN, "language": "en"}, {"Accept-Language": "ko"}, "en"),
        ({"image": b64(png())}, {"Accept-Language": "ko-KR,ko;q=0.9"}, "ko"),
        ({"image": b64(png())}, {}, "en"),
        ({"text": "38.5"}, {"Accept-Language": "ko"}, "ko"),
        ({"text": ENGLISH, "language": None}, {}, "en"),
    ],
)
async def test_language_of_the_answer(body: dict[str, object], headers: dict[str, str], language: str) -> None:
    async with asgi_client(components()) as client:
        response = await client.post(ANALYZE, json=body, headers=headers)
    answer = response.json()
    heart = CONDITIONS["acute_myocardial_infarction"]
    assert answer["metadata"]["language"] == response.headers["content-language"] == language
    assert answer["diagnosis"] == (heart.ko if language == "ko" else heart.en)
    assert ("의료진" in answer["disclaimer"]) is (language == "ko")


async def test_images_sound_and_text_reach_the_encoders_decoded() -> None:
    parts = components()
    async with asgi_client(parts) as client:
        response = await client.post(
            ANALYZE,
            json={"text": ENGLISH, "image": [b64(png()), "data:image/png;base64," + b64(png(64))], "audio": b64(wav())},
        )
    assert response.json()["metadata"]["modalities"] == ["text", "image", "audio"]
    assert isinstance(parts.omni, FakeEncoder)
    case = parts.omni.calls[0]
    assert [image.pixels.shape for image in case.images] == [(32, 32, 3), (64, 64, 3)]
    assert case.audio is not None
    assert case.audio.seconds == pytest.approx(0.5, abs=0.05)


async def test_text_is_cleaned_and_composed() -> None:
    parts = components()
    decomposed = unicodedata.normalize("NFD", "가슴 통증")
    async with asgi_client(parts) as client:
        response = await client.post(ANALYZE, json={"text": f"  {decomposed}\x07\r\nyes\t "})
    assert response.status_code == 200
    assert isinstance(parts.omni, FakeEncoder)
    assert parts.omni.calls[0].text == "가슴 통증 \nyes"


async def test_warnings_are_worded_in_the_callers_language() -> None:
    storage = FakeStorage(failing=True)
    async with asgi_client(components(storage=storage)) as client:
        korean = (await client.post(ANALYZE, json={"text": KOREAN})).json()
        english = (await client.post(ANALYZE, json={"text": ENGLISH})).json()
    assert [item["code"] for item in korean["metadata"]["warnings"]] == ["not_stored"]
    assert "저장" in korean["metadata"]["warnings"][0]["detail"]
    assert "stored" in english["metadata"]["warnings"][0]["detail"]


async def test_insufficient_evidence() -> None:
    parts = components(predictor=FakePredictor(status="insufficient_evidence"))
    async with asgi_client(parts) as client:
        answer = (await client.post(ANALYZE, json={"text": "38.5"})).json()
    assert answer["status"] == "insufficient_evidence"
    assert answer["diagnosis"] == "Not enough evidence for a diagnosis"
    assert [item["code"] for item in answer["metadata"]["warnings"]] == ["low_certainty"]


async def test_duplicate_keys_take_the_last_and_unicode_escapes_are_read() -> None:
    parts = components()
    async with asgi_client(parts) as client:
        body = b'{"text":"first","text":"\\uac00\\uc2b4"}'
        response = await client.post(ANALYZE, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 200
    assert isinstance(parts.omni, FakeEncoder)
    assert parts.omni.calls[0].text == "가슴"


# --------------------------------------------------------------------------- upload
async def upload(client: httpx.AsyncClient, **kwargs: object) -> httpx.Response:
    return await client.post(UPLOAD, **kwargs)  # type: ignore[arg-type]


async def test_upload_is_the_same_case() -> None:
    parts = components()
    async with asgi_client(parts) as client:
        response = await upload(
            client,
            data={"text": KOREAN, "patient": json.dumps({"age": 40, "vitals": {"heart_rate": 90}})},
            files=[("image", ("a.png", png())), ("image", ("b.png", png(48))), ("audio", ("c.wav", wav()))],
        )
    assert response.status_code == 200
    assert response.json()["metadata"]["modalities"] == ["text", "image", "audio", "vitals"]
    assert response.json()["metadata"]["language"] == "ko"
    assert isinstance(parts.omni, FakeEncoder)
    case = parts.omni.calls[0]
    assert (len(case.images), case.patient.age, case.patient.vitals.heart_rate) == (2, 40, 90)


async def test_upload_takes_json_parts_with_a_type_and_blank_file_inputs() -> None:
    head = "--b0\r\nContent-Disposition: form-data; name="
    body = (
        f'{head}"text"\r\n\r\n{ENGLISH}\r\n'
        f'{head}"patient"\r\nContent-Type: application/json\r\n\r\n{{"sex":"female"}}\r\n'
        f'{head}"language"\r\n\r\nko\r\n'
        f'{head}"image"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n\r\n--b0--\r\n'
    )
    async with asgi_client(components()) as client:
        headers = {"Content-Type": 'multipart/form-data; boundary="b0"'}
        response = await client.post(UPLOAD, content=body.encode(), headers=headers)
    assert response.status_code == 200
    assert response.json()["metadata"]["modalities"] == ["text"]
    assert response.json()["metadata"]["language"] == "ko"


async def test_large_bodies_are_read_on_a_thread() -> None:
    async with asgi_client(components()) as client:
        response = await client.post(ANALYZE, json={"text": ENGLISH, "image": b64(png(32) + bytes(200_000))})
        assert response.status_code in {200, 422}, response.text
        large = await upload(client, data={"text": ENGLISH}, files=[("image", ("a.png", _noise()))])
    assert large.status_code == 200, large.text


def _noise() -> bytes:
    import io

    import numpy as np
    from PIL import Image

    target = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (256, 256, 3), dtype=np.uint8)).save(target, "PNG")
    return target.getvalue()
