"""The learner's log."""

from __future__ import annotations

import structlog


def learning_log() -> structlog.stdlib.BoundLogger:
    log: structlog.stdlib.BoundLogger = structlog.get_logger("app.learning")
    return log
