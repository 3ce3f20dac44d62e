"""The plan against the running service: within 35 % of what the kernel counts, loaded and at the busiest moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.integration.process import ServiceProcess
from tests.media_samples import base64_of, encode_image, tone, video, wav

MIB = 1024**2
CLOSE = 0.35


@pytest.fixture(scope="module", params=["off", "auto"])
def fresh(
    request: pytest.FixtureRequest, embedded_pair: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("memory")
    with ServiceProcess(folder, PREPARE=request.param, PREPARED_DIR=str(folder / "prepared")) as process:
        yield process.start()


def status(process: ServiceProcess) -> dict[str, int]:
    """Bytes by name, from proc(5)."""
    lines = Path(f"/proc/{process.process.pid}/status").read_text().splitlines()
    pairs = (line.split(":", 1) for line in lines)
    return {name: int(value.split()[0]) * 1024 for name, value in pairs if value.strip().endswith(" kB")}


def memory(process: ServiceProcess) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{process.url}/health/ready").json()["memory"]
    return found


def planned(process: ServiceProcess, *kinds: str) -> int:
    return sum(part["bytes"] for part in memory(process)["parts"] if part["kind"] in kinds)


def largest_cases() -> list[dict[str, Any]]:
    """Near the limits: 36 Mpx with transparency, five minutes of sound, a large film, a long text."""
    pixels = np.zeros((5990, 6000, 4), np.uint8)
    pixels[::7, ::5] = 200
    return [
        {"text": "chest pain and fever " * 900, "image": [base64_of(encode_image(pixels))]},
        {"audio": base64_of(wav(tone(299.0)))},
        {"video": base64_of(video(size=(3840, 2160)))},
        {"text": "x" * 100, "image": [base64_of(encode_image(pixels[..., :3]))]},
    ]


def test_loaded_and_at_its_busiest(fresh: ServiceProcess) -> None:
    """One test: the process keeps what a case has taken, so the order matters."""
    found, counted = memory(fresh)["measured"], status(fresh)
    loaded = counted["RssAnon"] + counted["RssFile"]
    assert abs(found["anonymous"] + found["file_backed"] - loaded) < 8 * MIB
    plan = planned(fresh, "anonymous", "file_backed")
    print(f"\nloaded: planned {plan / MIB:.0f} MiB, counted {loaded / MIB:.0f}; {plan / loaded - 1:+.0%}")
    heap = planned(fresh, "anonymous")
    print(f"anonymous: planned {heap / MIB:.0f} MiB, counted {counted['RssAnon'] / MIB:.0f}")
    assert abs(plan / loaded - 1) < CLOSE
    assert abs(heap / counted["RssAnon"] - 1) < CLOSE

    cases = largest_cases()
    with httpx.Client(base_url=fresh.url, timeout=120.0) as client:
        for case in cases:
            answer = client.post("/api/v1/analyze", json=case)
            assert answer.status_code == 200, answer.text
    bodies = [threading.Thread(target=fill, args=(fresh.url,)) for _ in range(3)]
    for body in bodies:
        body.start()
    with httpx.Client(base_url=fresh.url, timeout=120.0) as client:
        assert client.post("/api/v1/analyze", json=cases[0]).status_code in {200, 429}
    for body in bodies:
        body.join()
    peak, total = status(fresh)["VmHWM"], memory(fresh)["total"]
    print(f"busiest: planned {total / MIB:.0f} MiB, counted {peak / MIB:.0f}; {total / peak - 1:+.0%}")
    assert total >= peak, "the plan is what is compared with the limit"


def fill(url: str) -> None:
    """A body of the largest size, which holds no picture."""
    body = b'{"text": "x", "image": ["' + b"A" * (63 * MIB) + b'"]}'
    answer = httpx.post(
        f"{url}/api/v1/analyze", content=body, headers={"Content-Type": "application/json"}, timeout=120
    )
    assert answer.status_code in {413, 415, 422, 429}, answer.text
