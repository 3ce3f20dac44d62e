"""A small case that drives every graph of an encoder once."""

from __future__ import annotations

import numpy as np

from app.domain import AUDIO_SAMPLE_RATE, Case, Image, Waveform

WARM_UP_TEXT = "chest pain"


def warm_up_case() -> Case:
    """Two words, a grey image and a second of silence."""
    return Case(
        language="en",
        text=WARM_UP_TEXT,
        images=(Image(np.full((224, 224, 3), 128, np.uint8)),),
        audio=Waveform(np.zeros(AUDIO_SAMPLE_RATE, np.float32)),
    )
