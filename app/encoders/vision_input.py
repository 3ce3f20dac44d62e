"""Pixels -> what the Qwen2.5-Omni vision tower reads: resize, normalise, cut into patches, lay out in windows.

Resize and patches follow transformers' `Qwen2VLImageProcessor` (Pillow bicubic) number by number; videos go the same
way, frame by frame. The tower's graph has no ragged windows: patches are laid out here in padded windows of
`window_size` pixels, (frames, windows, slots, patch values), with a key bias that hides the padding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from app.domain import FloatArray, UInt8Array
from app.encoders.manifest import VisionSpec
from app.encoders.tmrope import Grid
from app.errors import InvalidInputError

MAX_ASPECT_RATIO = 200
VISION_ROPE_THETA = 10_000.0
MASKED = np.float32(-1e9)


@dataclass(frozen=True, slots=True)
class Patches:
    """Normalised patches (t * h * w, 3 * temporal_patch * patch * patch) float32 in merge-unit order; their grid."""

    values: FloatArray
    grid: Grid


def image_patches(pixels: UInt8Array, spec: VisionSpec) -> Patches:
    """Patches of one RGB image (height, width, 3). InvalidInputError for an extreme aspect ratio."""
    return patchify(resize(pixels[None], spec, spec.max_pixels), spec)


def video_patches(frames: UInt8Array, spec: VisionSpec, max_total_pixels: int) -> Patches:
    """Patches of RGB frames (n, height, width, 3); all temporal patches together stay near `max_total_pixels`."""
    temporal = -(-len(frames) // spec.temporal_patch_size)
    per_frame = max(min(spec.max_pixels, max_total_pixels // temporal), spec.min_pixels)
    return patchify(resize(frames, spec, per_frame), spec)


def resize(frames: UInt8Array, spec: VisionSpec, max_pixels: int) -> UInt8Array:
    """(n, height, width, 3) -> the same frames at the size that `smart_resize` names."""
    height, width = frames.shape[1:3]
    factor = spec.patch_size * spec.spatial_merge_size
    new_height, new_width = smart_resize(height, width, factor, spec.min_pixels, max_pixels)
    if (new_height, new_width) == (height, width):
        return frames
    size, bicubic = (new_width, new_height), PillowImage.Resampling.BICUBIC
    return np.stack([np.asarray(PillowImage.fromarray(frame).resize(size, bicubic)) for frame in frames])


def smart_resize(height: int, width: int, factor: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """Nearest multiples of `factor` whose area lies between the limits, aspect ratio kept."""
    if max(height, width) > MAX_ASPECT_RATIO * min(height, width):
        raise InvalidInputError("image_aspect_ratio", limit=MAX_ASPECT_RATIO)
    new_height, new_width = round(height / factor) * factor, round(width / factor) * factor
    if new_height * new_width > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        new_height = max(factor, math.floor(height / shrink / factor) * factor)
        new_width = max(factor, math.floor(width / shrink / factor) * factor)
    elif new_height * new_width < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        new_height = math.ceil(height * grow / factor) * factor
        new_width = math.ceil(width * grow / factor) * factor
    return new_height, new_width


def patchify(frames: UInt8Array, spec: VisionSpec) -> Patches:
    """(n, H, W, 3) with H and W multiples of patch * merge -> patches; the last frame fills the last temporal patch."""
    missing = -len(frames) % spec.temporal_patch_size
    if missing:
        frames = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])
    count, height, width, channels = frames.shape
    temporal, patch, merge = spec.temporal_patch_size, spec.patch_size, spec.spatial_merge_size
    t, h, w = count // temporal, height // patch, width // patch
    cut = frames.reshape(t, temporal, h // merge, merge, patch, w // merge, merge, patch, channels)
    ordered = cut.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)  # t, H, W, merge h, merge w, channel, temporal, patch h, patch w
    table = _normalised_levels(spec.image_mean, spec.image_std)
    values = np.empty(ordered.shape, np.float32)
    for channel in range(channels):
        values[:, :, :, :, :, channel] = table[channel][ordered[:, :, :, :, :, channel]]
    return Patches(values.reshape(t * h * w, -1), (t, h, w))


@lru_cache(maxsize=4)
def _normalised_levels(mean: tuple[float, ...], std: tuple[float, ...]) -> FloatArray:
    """(3, 256): every byte level after rescaling by 1/255 and normalising, rounded as transformers rounds."""
    rescaled = (np.arange(256, dtype=np.float64) * (1 / 255)).astype(np.float32)
    return (rescaled[None] - np.array(mean, np.float32)[:, None]) / np.array(std, np.float32)[:, None]


# --------------------------------------------------------------------------- window layout
@dataclass(frozen=True, slots=True)
class WindowLayout:
    """Where the patches of one frame go. W windows of S slots; a unit is merge * merge patches, one output token."""

    slots: npt.NDArray[np.int64]
    """(W, S) patch index within the frame, -1 for padding."""
    cos: FloatArray
    sin: FloatArray
    """(W, S, head_dim) rotary tables of the patch in each slot."""
    key_bias: FloatArray
    """(W, S): 0 for a patch, a large negative number for padding."""
    units: npt.NDArray[np.int64]
    """(h/merge * w/merge,) where the tower's output holds each unit, in raster order."""


@lru_cache(maxsize=8)
def window_layout(height: int, width: int, spec: VisionSpec) -> WindowLayout:
    """Layout for a frame of (height, width) patches."""
    merge = spec.spatial_merge_size
    side = spec.window_size // merge // spec.patch_size
    rows, columns = height // merge, width // merge
    down, across = -(-rows // side), -(-columns // side)
    padded = np.full((down * side, across * side), -1, np.int64)
    padded[:rows, :columns] = np.arange(rows * columns).reshape(rows, columns)
    windows = padded.reshape(down, side, across, side).transpose(0, 2, 1, 3).reshape(down * across, side * side)
    in_unit = np.arange(merge * merge)
    slots = np.where(windows[..., None] >= 0, windows[..., None] * merge * merge + in_unit, -1)
    slots = slots.reshape(down * across, -1)
    cos, sin = _rotary(height, width, spec)
    filled = np.flatnonzero(windows.reshape(-1) >= 0)
    units = np.empty(rows * columns, np.int64)
    units[windows.reshape(-1)[filled]] = filled
    safe = np.maximum(slots, 0)
    return WindowLayout(slots, cos[safe], sin[safe], np.where(slots >= 0, np.float32(0), MASKED), units)


def _rotary(height: int, width: int, spec: VisionSpec) -> tuple[FloatArray, FloatArray]:
    """cos and sin (height * width, head_dim) in merge-unit order: half of the frequencies turn with the row, half with
    the column."""
    merge, half = spec.spatial_merge_size, spec.head_dim // 2
    exponents = np.arange(0, half, 2, dtype=np.float32) / np.float32(half)
    inv_freq = (1.0 / VISION_ROPE_THETA**exponents).astype(np.float32)
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1)
    units = grid.reshape(height // merge, merge, width // merge, merge, 2).transpose(0, 2, 1, 3, 4).reshape(-1, 2)
    angles = (units[..., None].astype(np.float32) * inv_freq).reshape(len(units), -1)  # (n, head_dim / 2)
    doubled = np.concatenate([angles, angles], axis=1)
    return np.cos(doubled), np.sin(doubled)


def window_feeds(patches: Patches, spec: VisionSpec) -> dict[str, FloatArray]:
    """Inputs of the vision graph: pixel_values (t, W, S, values), cos, sin (W, S, head_dim), key_bias (W, S)."""
    t, h, w = patches.grid
    layout = window_layout(h, w, spec)
    frames = patches.values.reshape(t, h * w, -1)
    pixel_values = np.take(frames, np.maximum(layout.slots, 0), axis=1)
    pixel_values[:, layout.slots < 0] = 0
    return {"pixel_values": pixel_values, "cos": layout.cos, "sin": layout.sin, "key_bias": layout.key_bias}


def collect_units(output: FloatArray, grid: Grid, spec: VisionSpec) -> FloatArray:
    """The graph's output (t, W * S / merge^2, hidden) -> tokens (t * h/merge * w/merge, hidden) in raster order."""
    units = window_layout(grid[1], grid[2], spec).units
    return np.take(output, units, axis=1).reshape(-1, output.shape[-1])
