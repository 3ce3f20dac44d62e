"""`explain` in the body, as a part and in the address; what it brings into the answer; effects of findings."""

from __future__ import annotations

import base64
import io
import json
import time
from dataclasses import replace
from typing import Any

import httpx
import pytest
from PIL import Image

from app.api.answers import MAX_EFFECTS, AnalyzeAnswer
from app.domain import NamedFinding, Saliency
from app.main import create_app
from tests.api.harness import ANALYZE, ENGLISH, KOREAN, UPLOAD, asgi_client, settings
from tests.api.media_files import b64, png
from tests.services.fakes import FakePredictor, components
from tests.storage.samples import analysis

EXPLAINED = [
    (ANALYZE, {"json": {"text": ENGLISH, "image": b64(png()), "explain": True}}),
    (ANALYZE, {"json": {"text": ENGLISH, "image": b64(png())}, "params": "explain=true"}),
    (ANALYZE, {"json": {"text": ENGLISH, "image": b64(png()), "explain": False}, "params": "explain=true"}),
    (UPLOAD, {"data": {"explain": "true"}, "files": {"image": ("a.png", png())}}),
    (UPLOAD, {"data": {"text": ENGLISH}, "files": {"image": ("a.png", png())}, "params": "explain=true"}),
    (UPLOAD, {"data": {"explain": "false"}, "files": {"image": ("a.png", png())}, "params": "explain=true"}),
]
NOT_EXPLAINED = [
    (ANALYZE, {"json": {"text": ENGLISH, "image": b64(png())}}),
    (ANALYZE, {"json": {"text": ENGLISH, "image": b64(png()), "explain": None}}),
    (ANALYZE, {"json": {"text": ENGLISH, "image": b64(png()), "explain": False}}),
    (ANALYZE, {"json": {"text": ENGLISH, "image": b64(png()), "explain": True}, "params": "explain=false"}),
    (ANALYZE, {"json": {"text": ENGLISH, "explain": True}}),
    (UPLOAD, {"data": {"explain": "false"}, "files": {"image": ("a.png", png())}}),
    (UPLOAD, {"data": {"explain": "true"}, "files": {"image": ("a.png", png())}, "params": "explain=false"}),
]
REFUSED = [
    *[
        (ANALYZE, {"json": {"text": KOREAN, "explain": value}}, "not_a_boolean")
        for value in (1, 0, "true", "yes", "", [], {}, 1.5)
    ],
    *[
        (UPLOAD, {"data": {"text": KOREAN, "explain": value}}, "not_a_boolean")
        for value in ("True", "1", "yes", "", " true", "null", "참")
    ],
    *[
        (route, {**body, "params": f"explain={value}"}, "not_a_boolean")
        for value in ("True", "1", "", "yes", "true%00", "%F0%9F%A9%BA")
        for route, body in ((ANALYZE, {"json": {"text": KOREAN}}), (UPLOAD, {"data": {"text": KOREAN}}))
    ],
    (ANALYZE, {"json": {"text": KOREAN}, "params": "explain=true&explain=true"}, "field_repeated"),
    (UPLOAD, {"data": {"text": KOREAN, "explain": ["true", "true"]}}, "field_repeated"),
]


async def post(client: httpx.AsyncClient, route: str, request: dict[str, Any]) -> httpx.Response:
    """Multipart also where there is no file."""
    if route == UPLOAD and "files" not in request:
        request = {**request, "files": [("image", ("", b""))]}
    return await client.post(route, **request)


# --------------------------------------------------------------------------- asking
@pytest.mark.parametrize(("route", "request_"), EXPLAINED)
async def test_maps_come_where_they_are_asked_for(route: str, request_: dict[str, Any]) -> None:
    async with asgi_client(components()) as client:
        answer = (await post(client, route, request_)).json()
    (found,) = answer["saliency"]
    assert set(found) == {"image", "condition_id", "grid", "png"}
    assert (found["image"], found["condition_id"]) == (0, answer["differential"][0]["condition_id"])
    assert {len(row) for row in found["grid"]} == {len(found["grid"])} == {8}
    picture = Image.open(io.BytesIO(base64.b64decode(found["png"], validate=True)))
    assert (picture.format, picture.size) == ("PNG", (32, 32))
    assert answer["metadata"]["timings_ms"]["explain"] > 0


@pytest.mark.parametrize(("route", "request_"), NOT_EXPLAINED)
async def test_no_maps_where_nobody_asks_or_nothing_is_shown(route: str, request_: dict[str, Any]) -> None:
    async with asgi_client(components()) as client:
        response = await post(client, route, request_)
    assert response.status_code == 200, response.text
    assert response.json()["saliency"] == []
    assert response.json()["metadata"]["warnings"] == []
    assert "explain" not in response.json()["metadata"]["timings_ms"]


@pytest.mark.parametrize(("route", "request_", "code"), REFUSED)
async def test_anything_but_true_and_false_is_a_problem_in_the_cases_language(
    route: str, request_: dict[str, Any], code: str
) -> None:
    async with asgi_client(components()) as client:
        korean = await post(client, route, {**request_, "headers": {"Accept-Language": "ko"}})
        english = await post(client, route, {**request_, "headers": {"Accept-Language": "en"}})
    for response in (korean, english):
        assert response.status_code == 422, response.text
        assert response.json()["code"] == "validation_failed"
        assert [(item["pointer"], item["code"]) for item in response.json()["errors"]] == [("/explain", code)]
    detail = korean.json()["errors"][0]["detail"]
    assert any("가" <= letter <= "힣" for letter in detail)


async def test_a_bad_address_is_worded_in_the_texts_language() -> None:
    async with asgi_client(components()) as client:
        korean = await client.post(f"{ANALYZE}?explain=1", json={"text": KOREAN})
        english = await client.post(f"{ANALYZE}?explain=1", json={"text": ENGLISH})
    assert korean.json()["errors"][0]["detail"] == "true 또는 false여야 합니다."
    assert english.json()["errors"][0]["detail"] == "true or false is needed."


async def test_a_case_without_time_for_maps_says_so_in_its_language() -> None:
    parts = components(before=lambda case, _stop: time.sleep(0.1) if case.text is None else None)
    async with asgi_client(parts, request_timeout_s=1.5) as client:
        answer = (await client.post(ANALYZE, json={"text": KOREAN, "image": b64(png()), "explain": True})).json()
    assert answer["saliency"] == []
    (warning,) = answer["metadata"]["warnings"]
    assert warning["code"] == "saliency_skipped"
    assert "시간이 부족" in warning["detail"]


def test_the_document_names_all_three_ways_of_asking() -> None:
    document = create_app(settings()).openapi()
    for route in (ANALYZE, UPLOAD):
        (parameter,) = document["paths"][route]["post"]["parameters"]
        assert (parameter["name"], parameter["in"], parameter["required"]) == ("explain", "query", False)
        assert parameter["schema"] == {"type": "boolean"}
    body = document["paths"][UPLOAD]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert body["properties"]["explain"]["type"] == "boolean"
    assert "explain" in document["components"]["schemas"]["AnalyzeRequest"]["properties"]


# --------------------------------------------------------------------------- effects
async def test_findings_for_and_against_are_in_the_answer() -> None:
    predictor = FakePredictor(effects={"chest_pain": 1.23456, "cough": -0.5})
    async with asgi_client(components(predictor=predictor)) as client:
        answer = (await client.post(ANALYZE, json={"text": "chest pain and cough"})).json()
    assert [(item["name"], item["effect"]) for item in answer["findings"]] == [("chest pain", 1.235), ("cough", -0.5)]
    assert answer["metadata"]["supporting"] == [{"name": "chest pain", "status": "present", "effect": 1.235}]
    assert answer["metadata"]["opposing"] == [{"name": "cough", "status": "present", "effect": -0.5}]


def answered(*effects: float | None) -> AnalyzeAnswer:
    findings = tuple(
        NamedFinding(f"f{place}", True, "q", "present", None, effect) for place, effect in enumerate(effects)
    )
    return AnalyzeAnswer.of(replace(analysis(), findings=findings))


def test_at_most_five_of_each_the_strongest_first() -> None:
    answer = answered(0.3, -0.4, 2.0, 0.1, 1.0, 0.4, -3.0, 0.9, 0.2, None)
    assert [item.effect for item in answer.metadata.supporting] == [2.0, 1.0, 0.9, 0.4, 0.3]
    assert [item.effect for item in answer.metadata.opposing] == [-3.0, -0.4]
    assert len(answer.metadata.supporting) == MAX_EFFECTS
    assert [item.effect for item in answer.findings] == [0.3, -0.4, 2.0, 0.1, 1.0, 0.4, -3.0, 0.9, 0.2, None]


def test_what_hardly_moves_anything_is_not_named_and_equals_keep_their_order() -> None:
    answer = answered(0.2494, -0.2494, 0.2496, 0.4, 0.4, -0.00001)
    assert [(item.name, item.effect) for item in answer.metadata.supporting] == [("f3", 0.4), ("f4", 0.4), ("f2", 0.25)]
    assert answer.metadata.opposing == []
    assert '"effect":-0.0}' not in answer.model_dump_json()


def test_a_map_is_carried_as_it_is() -> None:
    png_bytes = png()
    answer = AnalyzeAnswer.of(
        replace(analysis(), saliency=(Saliency(2, "pneumonia", ((0.5, -0.25), (0.0, 1.0)), png_bytes),))
    )
    (found,) = json.loads(answer.model_dump_json())["saliency"]
    assert found["grid"] == [[0.5, -0.25], [0.0, 1.0]]
    assert base64.b64decode(found["png"]) == png_bytes
    assert (found["image"], found["condition_id"]) == (2, "pneumonia")
