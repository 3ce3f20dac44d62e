"""A user's verdict on an answer: matched to a condition where it names one, then stored durably."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import partial

from app.domain import Feedback, StoredFeedback
from app.services.host import ComponentHost
from app.services.pools import WorkerPool
from app.services.ports import Observer


@dataclass(frozen=True, slots=True)
class FeedbackReceipt:
    """`text_dropped`: the query was not kept, because this server keeps no patient texts."""

    stored: StoredFeedback
    correction_unknown: bool
    text_dropped: bool


class FeedbackService:
    """Stores feedback. Event loop only."""

    def __init__(self, host: ComponentHost, storage: WorkerPool, observer: Observer, *, store_text: bool) -> None:
        self._host = host
        self._storage = storage
        self._observer = observer
        self._store_text = store_text

    def admit(self) -> None:
        """NotReadyError while nothing can be stored."""
        self._host.get()

    async def add(self, feedback: Feedback, *, idempotency_key: str | None, caller: str | None) -> FeedbackReceipt:
        """Durable when it returns. NotFoundError, ConflictError, StorageError, OverloadedError, NotReadyError."""
        components = self._host.get()
        correction = feedback.corrected_diagnosis
        condition_id = components.knowledge.match_condition(correction) if correction else None
        work = partial(
            components.feedback.add,
            feedback if self._store_text else replace(feedback, query=None),
            corrected_condition_id=condition_id,
            idempotency_key=idempotency_key,
            request_digest=_digest(feedback),
            caller=caller,
        )
        stored = await self._storage.run(work)
        self._observer.feedback_stored(is_correct=feedback.is_correct, replayed=stored.replayed)
        return FeedbackReceipt(
            stored=stored,
            correction_unknown=correction is not None and stored.corrected_condition_id is None,
            text_dropped=feedback.query is not None and not self._store_text,
        )


def _digest(feedback: Feedback) -> str:
    """SHA-256 over the request's fields: tells a repeated request from another one under the same key."""
    canonical = json.dumps(asdict(feedback), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
