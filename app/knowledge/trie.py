"""A prefix tree over words or characters whose leaves name findings."""

from __future__ import annotations

from collections.abc import Iterable

_NO_CHILDREN: dict[str, Node] = {}
"""Shared by all leaves, which are most of the nodes; never written to."""


class Node:
    """`finding_id` is set where a form ends here; `weight` is how much of the text that form accounts for."""

    __slots__ = ("children", "finding_id", "open_ended", "weight")

    def __init__(self) -> None:
        self.children: dict[str, Node] = _NO_CHILDREN
        self.finding_id: str | None = None
        self.weight = 0
        self.open_ended = False
        """A predicate ends here: any ending may follow."""

    def insert(self, path: Iterable[str], finding_id: str, weight: int, *, open_ended: bool = False) -> str:
        """Adds a form and returns the finding that has it: the first to claim it keeps it."""
        node = self
        for key in path:
            child = node.children.get(key)
            if child is None:
                child = Node()
                if node.children is _NO_CHILDREN:
                    node.children = {}
                node.children[key] = child
            node = child
        if node.finding_id is None:
            node.finding_id, node.weight, node.open_ended = finding_id, weight, open_ended
        return node.finding_id
