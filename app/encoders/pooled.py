"""From sequences to pooled, cached embeddings: what both encoders do with a segment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

from app.domain import Embedding, FloatArray, Source
from app.encoders.cache import Content, EmbeddingCache
from app.encoders.manifest import Manifest
from app.encoders.sequence import Segment
from app.errors import ArtifactError

POOLING_VERSION = "mean-own-tokens-2"
"""Part of every cache key: change it whenever the same weights would give another vector."""


@dataclass(frozen=True, slots=True)
class Job:
    """Embeddings that come from the same sequences: one per source, pooled from the pool of the same index.

    `sequences` prepares the media and is called only when the cache has no answer. A long recording gives several.
    """

    sources: tuple[Source, ...]
    content: Content
    """What the vectors depend on, besides the model."""
    sequences: Callable[[], Sequence[Segment]]


RunSequence = Callable[[Segment], FloatArray]
"""One sequence -> hidden states (seq, hidden)."""


class Pooler:
    """Mean-pools the tokens of each segment, through a cache."""

    def __init__(self, cache: EmbeddingCache, manifest: Manifest, scope: str) -> None:
        """`scope` names everything besides the model and the content that changes a vector."""
        self._cache = cache
        parts = (manifest.digest, POOLING_VERSION, ort.__version__, scope)
        self._scope = "\n".join(parts).encode()

    def embed(self, job: Job, run: RunSequence) -> tuple[Embedding, ...]:
        """One embedding per source of the job. ArtifactError for NaN or infinity."""
        indices = range(len(job.sources))
        keys = [self._cache.key((self._scope, str(index).encode(), *job.content)) for index in indices]
        cached = [self._cache.get(key) for key in keys]
        vectors = [vector for vector in cached if vector is not None]
        if len(vectors) < len(keys):
            vectors = pool_sequences(job.sequences(), run)
            for key, vector in zip(keys, vectors, strict=True):
                self._cache.put(key, vector)
        return tuple(Embedding(source, vector) for source, vector in zip(job.sources, vectors, strict=True))


def pool_sequences(sequences: Sequence[Segment], run: RunSequence) -> list[FloatArray]:
    """Mean over the tokens of each pool, all sequences together."""
    sums = [np.zeros(0)] * len(sequences[0].pools)
    counts = [0] * len(sums)
    for sequence in sequences:
        hidden = run(sequence)
        for index, pool in enumerate(sequence.pools):
            sums[index] = hidden[pool].sum(axis=0, dtype=np.float64) + (sums[index] if counts[index] else 0.0)
            counts[index] += int(pool.sum())
    vectors = [(total / count).astype(np.float32) for total, count in zip(sums, counts, strict=True)]
    if not all(np.isfinite(vector).all() for vector in vectors):
        raise ArtifactError("model_output_not_finite")
    return vectors
