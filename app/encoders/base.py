"""What every encoder offers."""

from __future__ import annotations

from typing import Protocol

from app.domain import Case, Embedding
from app.encoders.manifest import Manifest
from app.encoders.session import Cancellation


class Encoder(Protocol):
    """A case in, one pooled embedding per modality segment out. Not thread-safe by promise: one encode at a time."""

    @property
    def manifest(self) -> Manifest: ...

    def encode(
        self, case: Case, cancellation: Cancellation | None = None, *, keep: bool = True
    ) -> tuple[Embedding, ...]:
        """Embeddings (hidden_size,) float32 of the segments that this encoder reads; empty where there is none.

        With `keep=False` the cache neither answers nor learns: for variants that nobody will send again.
        InvalidInputError for media that cannot be encoded, DeadlineError once cancelled, ArtifactError where the model
        gives NaN.
        """
        ...

    def truncates(self, text: str) -> bool:
        """Whether `encode` reads only the beginning of this text."""
        ...

    def warm_up(self) -> None:
        """Run every graph once. ArtifactError where one fails or has the wrong width."""
        ...
