"""A prepared folder at run time: opens its graphs, and looks whether their weights stayed on disk."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from app.encoders.session import GraphSpec, OrtSession
from app.errors import ArtifactError
from app.memory import memory_usage

logger = logging.getLogger(__name__)

_ALLOWANCE_BYTES = 64 * 1024 * 1024
"""What opening a graph may put on the heap besides weights."""
_LANDED_SHARE = 0.25
"""More of the weights than this on the heap: they are not mapped."""


@dataclass(slots=True)
class PreparedFolder:
    """`open_session` has the signature of `encoders.session.SessionFactory`."""

    folder: Path
    is_strict: bool
    heap_bytes: dict[str, int] = field(default_factory=dict)
    """Graph -> what its opening added to the process's anonymous memory, for those that should have been mapped."""

    def open_session(self, _converted: Path, graph: GraphSpec, threads: int) -> OrtSession:
        """ArtifactError for a graph that cannot be opened, and in strict mode for one whose weights landed on the
        heap."""
        before = anonymous_bytes()
        session = OrtSession.load_prepared(self.folder, graph, threads)
        grown = anonymous_bytes() - before
        packed = (self.folder / f"{graph.file}.data").stat().st_size // 2  # the raw and the packed form of each
        if grown > _ALLOWANCE_BYTES + _LANDED_SHARE * packed:
            self.heap_bytes[graph.file] = grown
            logger.warning("weights_on_heap file=%s heap_mib=%s", self.folder / graph.file, grown >> 20)
            if self.is_strict:
                raise ArtifactError("weights_on_heap", file=str(self.folder / graph.file), heap_mib=grown >> 20)
        return session


def anonymous_bytes() -> int:
    """Anonymous resident memory of this process; 0 where the kernel does not tell."""
    usage = memory_usage()
    return usage.anonymous if usage else 0
