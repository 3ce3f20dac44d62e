"""Cases of the full-size benchmark: a text of so many tokens, alone, with a 448-pixel picture or with ten seconds of
sound. No two are alike."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from app.encoders.manifest import Manifest
from app.encoders.tokenizer import PromptTokenizer
from app.evaluation.speed import Request, audio_text_case, image_text_case

KINDS = ("text", "image_448_and_text", "audio_10s_and_text")
_COMPLAINT = (
    "I have had a heavy pressure in the middle of my chest since this morning. It spreads to my left arm, I am "
    "sweating and I feel sick. Two days ago I had a cough with fever, and I was short of breath on the stairs. "
    "I take medicine for high blood pressure and I smoke. I have no rash, no headache and no pain in my legs."
)
_FILLER = " a"
"""One token in every byte-level vocabulary that has read any English."""


class CaseMaker:
    """Counts tokens as both encoders do: those of the text itself, nothing around it."""

    def __init__(self, folders: tuple[Path, ...]) -> None:
        """`folders`: converted models. ArtifactError where a tokenizer cannot be read."""
        self._tokenizers = [PromptTokenizer.load(folder, Manifest.load(folder)) for folder in folders]

    def text(self, tokens: int, number: int) -> str:
        """A text of exactly `tokens` tokens for every encoder. ValueError where their vocabularies do not allow it."""
        text = f"{number}:"
        for word in cycle(_COMPLAINT.split()):
            longer = f"{text} {word}"
            if max(self._counts(longer)) > tokens:
                break
            text = longer
        text += _FILLER * (tokens - max(self._counts(text)))
        if set(self._counts(text)) != {tokens}:
            raise ValueError(f"no text of {tokens} tokens: the encoders count {self._counts(text)}")
        return text

    def request(self, kind: str, tokens: int, number: int) -> Request:
        makers = {"image_448_and_text": image_text_case, "audio_10s_and_text": audio_text_case}
        body = makers[kind](number) if kind in makers else {"language": "en"}
        return {**body, "text": self.text(tokens, number)}

    def mixed(self, cases: int, tokens: int, first: int) -> Iterator[tuple[str, Request]]:
        """The kinds in turn."""
        for offset, kind in zip(range(cases), cycle(KINDS)):
            yield kind, self.request(kind, tokens, first + offset)

    def _counts(self, text: str) -> list[int]:
        return [len(tokenizer.encode(text)) for tokenizer in self._tokenizers]
