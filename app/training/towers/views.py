"""Augmented views of chest X-rays. Mild ones are what another machine might make of the same chest; strong ones hide
what gives a hospital away: borders, markers, contrast, framing."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from app.domain import UInt8Array

CLASSES = ("covid19", "pneumonia", "no_finding", "other")
"""`other` is made here: pictures that are no X-ray at all, so that the tower does not place them on a finding."""
VIEW_SIDE = 320
LabelArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class XraySet:
    """Grey images (height, width) uint8 of any size, and the index of each one's class."""

    images: tuple[UInt8Array, ...]
    labels: LabelArray


def load_xrays(folder: Path, split: str) -> XraySet:
    with (folder / f"{split}.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    images = tuple(np.asarray(Image.open(folder / split / row["file"]).convert("L")) for row in rows)
    return XraySet(images, np.array([CLASSES.index(row["label"]) for row in rows]))


def plain_view(image: UInt8Array, side: int = VIEW_SIDE) -> UInt8Array:
    """The whole image at (side, side), as the product's resize does for a square grid."""
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


@dataclass(frozen=True, slots=True)
class _Changes:
    """How far one view may be from its picture: shares of a side, degrees, exponents, shares of the grey scale."""

    scale: tuple[float, float]
    aspect: float
    shift: float
    degrees: float
    mirrored: bool
    """At random; left to the training where views are mirrored there."""
    random_fill: bool
    """Grey instead of black around a picture, in half of the views."""
    equalised: float
    """Part of the views whose histogram is flattened."""
    gamma: float
    contrast: float
    brightness: float
    noise: tuple[float, float]


_MILD = _Changes(
    scale=(0.9, 1.02),
    aspect=0.04,
    shift=0.01,
    degrees=4,
    mirrored=False,
    random_fill=False,
    equalised=0.0,
    gamma=0.18,
    contrast=0.12,
    brightness=0.05,
    noise=(1, 3),
)
_STRONG = _Changes(
    scale=(0.72, 1.08),
    aspect=0.12,
    shift=0.03,
    degrees=10,
    mirrored=True,
    random_fill=True,
    equalised=0.4,
    gamma=0.45,
    contrast=0.3,
    brightness=0.12,
    noise=(2, 8),
)


def mild_view(image: UInt8Array, rng: np.random.Generator, side: int = VIEW_SIDE) -> UInt8Array:
    """One view (side, side) as another machine or another hand might have taken it: a little off in frame and tone."""
    return _tone(_geometry(image, rng, side, _MILD), rng, _MILD)


def strong_view(image: UInt8Array, rng: np.random.Generator, side: int = VIEW_SIDE) -> UInt8Array:
    """One view (side, side) far from its picture: geometry first, then tone, then hidden corners and borders."""
    view = _tone(_geometry(image, rng, side, _STRONG), rng, _STRONG)
    if rng.random() < 0.6:
        view = _hide_margins(view, rng)
    if rng.random() < 0.15:
        view = _radius_blur(view, rng)
    return view


def blended_view(first: UInt8Array, second: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Two views laid over one another, the second one mirrored at times: a picture that nobody has labelled, for a
    teacher to judge."""
    other = second[:, ::-1] if rng.random() < 0.3 else second
    share = rng.uniform(0.25, 0.75)
    blend: npt.NDArray[np.float64] = share * first.astype(np.float64) + (1 - share) * other.astype(np.float64)
    return np.asarray(blend, np.uint8)


def _geometry(image: UInt8Array, rng: np.random.Generator, side: int, changes: _Changes) -> UInt8Array:
    """Random crop (or a little more than the image), aspect, rotation and mirror in one resampling."""
    height, width = image.shape
    scale = rng.uniform(*changes.scale)
    aspect = np.exp(rng.uniform(-changes.aspect, changes.aspect))
    across, down = width * scale * aspect, height * scale / aspect
    centre_x = width / 2 + rng.uniform(-1, 1) * (abs(width - across) / 2 + changes.shift * width)
    centre_y = height / 2 + rng.uniform(-1, 1) * (abs(height - down) / 2 + changes.shift * height)
    angle = np.deg2rad(rng.uniform(-changes.degrees, changes.degrees))
    mirror = -1.0 if changes.mirrored and rng.random() < 0.5 else 1.0
    cos, sin = np.cos(angle), np.sin(angle)
    a, b = mirror * across / side * cos, -down / side * sin
    d, e = mirror * across / side * sin, down / side * cos
    half = side / 2
    matrix = (a, b, centre_x - a * half - b * half, d, e, centre_y - d * half - e * half)
    fill = int(rng.integers(0, 256)) if changes.random_fill and rng.random() < 0.5 else 0
    transformed = Image.fromarray(image).transform(
        (side, side), Image.Transform.AFFINE, matrix, resample=Image.Resampling.BICUBIC, fillcolor=fill
    )
    return np.asarray(transformed)


def _tone(view: UInt8Array, rng: np.random.Generator, changes: _Changes) -> UInt8Array:
    """A random tone curve: part histogram equalisation, gamma, contrast, brightness, noise."""
    levels = np.arange(256, dtype=np.float64) / 255
    curve = levels
    if rng.random() < changes.equalised:
        cumulative = np.cumsum(np.bincount(view.reshape(-1), minlength=256)) / view.size
        curve = curve + rng.uniform(0.3, 1.0) * (cumulative - curve)
    curve = curve ** np.exp(rng.uniform(-changes.gamma, changes.gamma))
    curve = 0.5 + (curve - 0.5) * rng.uniform(1 - changes.contrast, 1 + changes.contrast)
    toned = ((curve + rng.uniform(-changes.brightness, changes.brightness)) * 255)[view]
    if rng.random() < 0.3:
        toned = toned + rng.normal(0, rng.uniform(*changes.noise), view.shape)
    return np.asarray(np.clip(toned, 0, 255), np.uint8)


def _hide_margins(view: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Cover one to three strips at the edges and patches in the upper corners, where markers and borders are."""
    hidden = view.copy()
    side = len(view)
    for _ in range(rng.integers(1, 4)):
        depth = int(side * rng.uniform(0.02, 0.12))
        turned = np.rot90(hidden, int(rng.integers(4)))
        turned[:depth] = rng.integers(0, 256)
    for _ in range(rng.integers(0, 3)):
        height, width = (int(side * size) for size in rng.uniform(0.06, 0.2, 2))
        top, left = int(rng.uniform(0, side * 0.3)), int(rng.choice((0, side - width)))
        hidden[top : top + height, left : left + width] = rng.integers(0, 256)
    return hidden


def _radius_blur(view: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    return np.asarray(Image.fromarray(view).filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 1.5))))


# --------------------------------------------------------------------------- pictures that are no X-ray
def foreign_view(rng: np.random.Generator, photos: tuple[UInt8Array, ...], side: int = VIEW_SIDE) -> UInt8Array:
    """A picture (side, side) of class `other`: flat, noise of some scale, stripes, shapes, or part of a photograph."""
    kind = rng.integers(5)
    if kind == 0:
        picture = np.full((side, side), rng.integers(0, 256), np.uint8)
    elif kind == 1:
        picture = _cloud(rng, side)
    elif kind == 2:
        picture = _stripes(rng, side)
    elif kind == 3:
        picture = _shapes(rng, side)
    else:
        picture = _geometry(_crop(photos[rng.integers(len(photos))], rng), rng, side, _STRONG)
    return _tone(picture, rng, _STRONG)


def _cloud(rng: np.random.Generator, side: int) -> UInt8Array:
    cells = int(2 ** rng.uniform(1, 8))
    noise = Image.fromarray(rng.integers(0, 256, (cells, cells), dtype=np.uint8))
    return np.asarray(noise.resize((side, side), Image.Resampling.BICUBIC))


def _stripes(rng: np.random.Generator, side: int) -> UInt8Array:
    y, x = np.mgrid[:side, :side] / side
    angle, waves = rng.uniform(0, np.pi), rng.uniform(0.3, 30)
    wave = np.sin(2 * np.pi * waves * (x * np.cos(angle) + y * np.sin(angle)) + rng.uniform(0, 6))
    return np.asarray(127.5 + 127.5 * wave, np.float64).astype(np.uint8)


def _shapes(rng: np.random.Generator, side: int) -> UInt8Array:
    y, x = np.mgrid[:side, :side] / side
    picture = np.full((side, side), rng.integers(0, 256), np.uint8)
    for _ in range(rng.integers(2, 12)):
        height, width = rng.uniform(0.03, 0.4, 2)
        distance_y, distance_x = (y - rng.uniform()) / height, (x - rng.uniform()) / width
        norm = np.hypot(distance_y, distance_x) if rng.random() < 0.5 else np.maximum(abs(distance_y), abs(distance_x))
        picture[norm < 0.5] = rng.integers(0, 256)
    return picture


def _crop(photo: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    size = int(min(photo.shape) * rng.uniform(0.3, 1.0))
    top, left = (int(rng.integers(0, extent - size + 1)) for extent in photo.shape)
    return photo[top : top + size, left : left + size]
