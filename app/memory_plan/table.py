"""The plan as a table for people."""

from __future__ import annotations

from app.memory_plan.plan import MemoryPlan

_KIND = {"anonymous": "", "file_backed": "mapped from files", "working": "while the largest case is answered"}


def memory_table(plan: MemoryPlan) -> str:
    """A headline, and a line for each part."""
    width = max(len(part.name) for part in plan.parts)
    lines = [f"memory: {gib(plan.needed)} needed of {gib(plan.limit.bytes)} ({plan.limit.name}); {plan.depths()}"]
    lines += [f"  {part.name:<{width}} {mib(part.bytes):>10}  {_KIND[part.kind]}".rstrip() for part in plan.parts]
    return "\n".join(lines)


def gib(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB"


def mib(count: int) -> str:
    return f"{count / 1024**2:,.0f} MiB"
