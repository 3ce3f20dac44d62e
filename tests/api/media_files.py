"""Tiny real files for the API tests."""

from __future__ import annotations

import base64
import io
import wave

import numpy as np
from PIL import Image


def png(side: int = 32) -> bytes:
    target = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), 120, np.uint8)).save(target, "PNG")
    return target.getvalue()


def wav(seconds: float = 0.5) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        phase = np.arange(int(16_000 * seconds)) * (2 * np.pi * 220 / 16_000)
        sound.writeframes((np.sin(phase) * 8000).astype("<i2").tobytes())
    return target.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
