"""Labelled sets through the HTTP API: what a caller would get, over the whole label set."""

from __future__ import annotations

import base64
import io
import random
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import av
import httpx
import numpy as np
from tqdm import tqdm

from app.domain import Patient
from app.media.image import decode_image
from app.media.limits import MediaLimits
from app.training.samples import Sample
from app.training.tokens import still_video

Answer = dict[str, Any]
"""The JSON body of a 200."""

_RETRY_STATUS = {429, 503}


@dataclass(frozen=True, slots=True)
class Answered:
    """A sample with the service's answer (the JSON body of a 200)."""

    sample: Sample
    body: dict[str, Any]

    @property
    def ranked(self) -> list[str]:
        return [entry["condition_id"] for entry in self.body["differential"]]

    @property
    def confidence(self) -> float:
        return float(self.body["differential"][0]["probability"])

    @property
    def is_right(self) -> bool:
        """Whether the first condition is the true one."""
        return self.ranked[0] == self.sample.condition_id

    @property
    def set_size(self) -> int:
        """How many conditions form the conformal set."""
        return int(self.body["metadata"]["set_size"])


class CaseClient:
    """Posts cases; waits and tries again when told that the queue is full."""

    def __init__(self, url: str, api_key: str | None = None, clients: int = 2) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(base_url=url, timeout=120.0, headers=headers)
        self._clients = clients

    def ask(self, samples: Sequence[Sample], name: str, request: Callable[[Sample], dict[str, Any]]) -> list[Answered]:
        """Answers in the order of the samples. RuntimeError on any status but 200."""
        bodies = self._post_each((request(sample) for sample in samples), len(samples), name)
        return [Answered(sample, body) for sample, body in zip(samples, bodies, strict=True)]

    def post_all(self, bodies: Sequence[dict[str, Any]], name: str) -> list[Answer]:
        """The same for request bodies."""
        return self._post_each(bodies, len(bodies), name)

    def _post_each(self, bodies: Iterable[dict[str, Any]], count: int, name: str) -> list[Answer]:
        with ThreadPoolExecutor(self._clients) as pool:
            return list(tqdm(pool.map(self._post, bodies), total=count, desc=name, mininterval=2.0))

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        for _ in range(600):
            response = self._http.post("/api/v1/analyze", json=body)
            if response.status_code not in _RETRY_STATUS:
                break
            time.sleep(float(response.headers.get("Retry-After", "1")))
        if response.status_code != httpx.codes.OK:
            raise RuntimeError(f"status {response.status_code}: {response.json().get('code')}")
        answer: dict[str, Any] = response.json()
        return answer


def request_body(sample: Sample) -> dict[str, Any]:
    """The JSON of one sample: text, media as base64, patient fields that are known."""
    body: dict[str, Any] = {"language": sample.language}
    if sample.text:
        body["text"] = sample.text
    if sample.image is not None:
        body["image"] = base64.b64encode(sample.image.read_bytes()).decode()
    if sample.audio is not None:
        body["audio"] = base64.b64encode(sample.audio.read_bytes()).decode()
    if patient := patient_body(sample.patient):
        body["patient"] = patient
    return body


def video_body(sample: Sample) -> dict[str, Any]:
    """A sample's image as a short MP4, filmed by hand so to speak."""
    assert sample.image is not None  # noqa: S101 - caller passes image samples
    image = decode_image(sample.image.read_bytes(), MediaLimits())
    video = still_video(image, random.Random(sample.image.name))  # noqa: S311 - not for secrecy
    return {"language": sample.language, "video": base64.b64encode(encode_mp4(video.frames, 1)).decode()}


def encode_mp4(frames: np.ndarray, fps: int) -> bytes:
    """Frames (n, height, width, 3) uint8 -> MPEG-4 in an MP4 container; sides cut to even numbers."""
    target = io.BytesIO()
    height, width = (side - side % 2 for side in frames.shape[1:3])
    with av.open(target, mode="w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", 4_000_000
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:height, :width]), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target.getvalue()


def patient_body(patient: Patient) -> dict[str, Any]:
    values = {name: value for name, value in asdict(patient).items() if value is not None and name != "vitals"}
    vitals = {name: value for name, value in asdict(patient.vitals).items() if value is not None}
    if vitals:
        values["vitals"] = vitals
    return values
