"""What the service will take of the machine's memory, worked out from its files before anything is loaded.

limit.py        what it may take: MAX_MEMORY, the container's limit, the machine
graph_file.py   the weights of a converted graph, read from its protobuf
parts.py        what each part takes
cut_layers.py   how many layers of each decoder
plan.py         the plan: parts against limit, and what to set where it does not fit
table.py        the plan for people
"""

from app.memory_plan.cut_layers import CutLayers
from app.memory_plan.limit import Limit, memory_limits
from app.memory_plan.parts import Part, PartKind, ServiceSizes
from app.memory_plan.plan import MemoryPlan, plan_memory
from app.memory_plan.table import memory_table

__all__ = [
    "CutLayers",
    "Limit",
    "MemoryPlan",
    "Part",
    "PartKind",
    "ServiceSizes",
    "memory_limits",
    "memory_table",
    "plan_memory",
]
