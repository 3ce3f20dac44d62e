"""How many threads PyTorch takes in the process that answers."""

from __future__ import annotations

import torch


def use_one_thread() -> None:
    """For the whole process. AFNet on one case is a hundred times smaller than what a second thread is worth.

    On two busy cores a forward pass took 125 ms with PyTorch's own choice, waiting for its other thread to be scheduled
    beside ONNX Runtime's, and 2 ms with one.
    """
    torch.set_num_threads(1)
