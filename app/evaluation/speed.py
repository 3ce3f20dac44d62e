"""Latency, throughput, overload and memory of a running service."""

from __future__ import annotations

import base64
import io
import itertools
import math
import threading
import time
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
from PIL import Image

from app.domain import AUDIO_SAMPLE_RATE
from app.evaluation.service import MeasuredService

Request = dict[str, Any]

_TEXT = (
    "I am a {age}-year-old man. Since this morning I have had a heavy pressure in the middle of my chest that spreads "
    "to my left arm, I am sweating and I feel sick. I smoke and I have high blood pressure. Case number {number}."
)
_TEXT_KO = (
    "{age}세 남성입니다. 오늘 아침부터 가슴이 조이듯 아프고 왼팔까지 아파요. "
    "식은땀이 나고 속이 메스꺼워요. 접수 번호 {number}."
)


def text_case(number: int) -> Request:
    """About 55 tokens of English; no two are alike, so no cache can answer."""
    return {"text": _TEXT.format(age=30 + number % 60, number=number), "language": "en"}


def korean_text_case(number: int) -> Request:
    return {"text": _TEXT_KO.format(age=30 + number % 60, number=number), "language": "ko"}


def image_text_case(number: int) -> Request:
    """A 448-pixel picture (smoothed noise, so that it compresses like an X-ray) and a text."""
    coarse = np.random.default_rng(number).integers(0, 256, (28, 28), dtype=np.uint8)
    target = io.BytesIO()
    Image.fromarray(coarse).resize((448, 448), Image.Resampling.BICUBIC).save(target, "JPEG", quality=90)
    return {**text_case(number), "image": base64.b64encode(target.getvalue()).decode()}


def audio_text_case(number: int) -> Request:
    """Ten seconds of sound and a text."""
    return {**text_case(number), "audio": base64.b64encode(_wav(number, 10.0)).decode()}


KINDS: dict[str, Callable[[int], Request]] = {
    "text_en": text_case,
    "text_ko": korean_text_case,
    "image_448_and_text": image_text_case,
    "audio_10s_and_text": audio_text_case,
}


def latency(service: MeasuredService, kind: str, cases: int, first: int = 0) -> dict[str, Any]:
    """One client, one case after another: percentiles in milliseconds."""
    make = KINDS[kind]
    times = []
    with httpx.Client(base_url=service.url, timeout=120.0) as client:
        for number in range(first, first + cases + 2):
            body = make(number)
            started = time.perf_counter()
            client.post("/api/v1/analyze", json=body).raise_for_status()
            times.append(1000 * (time.perf_counter() - started))
    return {"cases": cases, **percentiles(times[2:])}


def throughput(service: MeasuredService, clients: int, seconds: float, first: int) -> dict[str, Any]:
    """Text cases a second with several clients that each wait for their answer."""
    outcome = _hammer(service, clients, seconds, itertools.count(first), pause_on_429=True)
    return {
        "clients": clients,
        "seconds": seconds,
        "cases_per_s": round(outcome["statuses"].get("200", 0) / seconds, 2),
    }


def overload(service: MeasuredService, clients: int, seconds: float, first: int) -> dict[str, Any]:
    """More clients than the queue holds, none of which waits after a 429."""
    before = service.resident_mb()
    outcome = _hammer(service, clients, seconds, itertools.count(first), pause_on_429=False)
    after = service.resident_mb()
    return {
        "clients": clients,
        "seconds": seconds,
        "statuses": outcome["statuses"],
        "admitted": percentiles(outcome["admitted_ms"]),
        "resident_mb_before": before,
        "resident_mb_after": after,
    }


def percentiles(times: list[float]) -> dict[str, float]:
    """p50, p90 and p99 (nearest rank), milliseconds."""
    ordered = sorted(times)
    return {
        f"p{share}_ms": round(ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)], 1) for share in (50, 90, 99)
    }


def _hammer(
    service: MeasuredService, clients: int, seconds: float, numbers: Iterator[int], *, pause_on_429: bool
) -> dict[str, Any]:
    statuses: Counter[str] = Counter()
    admitted: list[float] = []
    lock = threading.Lock()
    end = time.monotonic() + seconds

    def client() -> None:
        with httpx.Client(base_url=service.url, timeout=120.0) as http:
            while time.monotonic() < end:
                with lock:
                    number = next(numbers)
                started = time.perf_counter()
                try:
                    status = str(http.post("/api/v1/analyze", json=text_case(number)).status_code)
                except httpx.TransportError as error:
                    status = type(error).__name__
                elapsed = 1000 * (time.perf_counter() - started)
                with lock:
                    statuses[status] += 1
                    if status == "200":
                        admitted.append(elapsed)
                if status != "200":
                    time.sleep(0.2 if pause_on_429 else 0.02)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"statuses": dict(statuses), "admitted_ms": admitted or [0.0]}


def _wav(seed: int, seconds: float) -> bytes:
    """Mono 16-bit PCM: two beats a second over noise."""
    count = int(seconds * AUDIO_SAMPLE_RATE)
    clock = np.arange(count) / AUDIO_SAMPLE_RATE
    noise = np.random.default_rng(seed).standard_normal(count) * 0.02
    beats = np.sin(2 * np.pi * 60 * clock) * np.exp(-40 * (clock % 0.5))
    target = io.BytesIO()
    with wave.open(target, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(AUDIO_SAMPLE_RATE)
        sound.writeframes((np.clip(beats * 0.6 + noise, -1, 1) * 32767).astype("<i2").tobytes())
    return target.getvalue()
