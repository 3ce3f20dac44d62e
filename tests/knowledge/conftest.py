"""The project's own knowledge base, read once."""

from __future__ import annotations

import pytest

from app.knowledge.base import KnowledgeBase


@pytest.fixture(scope="session")
def knowledge() -> KnowledgeBase:
    return KnowledgeBase.load()
