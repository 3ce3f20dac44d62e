"""The medical text encoder: a Llama-class decoder cut at a layer, mean-pooled over the user's tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from app.domain import Case, Embedding, FloatArray, Source
from app.encoders.backbone import Backbone, text_positions
from app.encoders.cache import EmbeddingCache, NoCache
from app.encoders.manifest import Manifest
from app.encoders.pooled import Job, Pooler
from app.encoders.sequence import join, text_segment
from app.encoders.session import Cancellation, OrtSession, SessionFactory
from app.encoders.warm_up import WARM_UP_TEXT
from app.errors import ArtifactError

ARCHITECTURES = ("LlamaForCausalLM", "Qwen2ForCausalLM", "MistralForCausalLM")


class MedicalEncoder:
    """Text -> medical/text."""

    def __init__(self, backbone: Backbone, cache: EmbeddingCache) -> None:
        self._backbone = backbone
        self._pooler = Pooler(cache, backbone.manifest, "text")
        self._uncached = Pooler(NoCache(), backbone.manifest, "text")

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        threads: int,
        max_text_tokens: int = 512,
        cut_layer: int | None = None,
        cache: EmbeddingCache | None = None,
        verify: bool = True,
        open_session: SessionFactory = OrtSession.load,
    ) -> Self:
        """`cut_layer` serves fewer layers than the folder holds. `verify` hashes every file first. ArtifactError for a
        folder that must not be served."""
        manifest = Manifest.load(folder).cut(cut_layer)
        if manifest.architecture not in ARCHITECTURES:
            raise ArtifactError("model_wrong_architecture", folder=str(folder), found=manifest.architecture)
        if verify:
            manifest.verify(folder)
        backbone = Backbone.load(
            folder, manifest, threads=threads, max_text_tokens=max_text_tokens, open_session=open_session
        )
        return cls(backbone, cache or NoCache())

    @property
    def manifest(self) -> Manifest:
        return self._backbone.manifest

    def encode(
        self, case: Case, cancellation: Cancellation | None = None, *, keep: bool = True
    ) -> tuple[Embedding, ...]:
        """See `base.Encoder`."""
        ids = self._backbone.text_ids(case.text)
        if not ids:
            return ()
        stop = cancellation or Cancellation()
        text = text_segment(ids)
        sequence = join(self._backbone.tokenizer.prefix, [text])
        job = Job((Source.MEDICAL_TEXT,), (text.ids,), lambda: [sequence])
        pooler = self._pooler if keep else self._uncached
        return pooler.embed(job, lambda one: self.hidden_states(one.ids.tolist(), stop))

    def hidden_states(self, input_ids: list[int], cancellation: Cancellation | None = None) -> FloatArray:
        """Hidden states (seq, hidden) of the whole sequence after the cut layer."""
        embeddings = self._backbone.embed(input_ids)
        positions = text_positions(len(input_ids))
        return self._backbone.hidden_states(input_ids, embeddings, positions, cancellation or Cancellation())

    def truncates(self, text: str) -> bool:
        return self._backbone.truncates(text)

    def warm_up(self) -> None:
        """See `base.Encoder`."""
        self.hidden_states([*self._backbone.tokenizer.prefix, *self._backbone.text_ids(WARM_UP_TEXT)])
