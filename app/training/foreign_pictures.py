"""Pictures that are no medical image, for AFNet to learn to say so: parts of photographs, drawings, documents, noise.

The photographs are those that scikit-learn and scikit-image carry with them (public domain, CC0 and CC BY); some are
held out. None of these painters makes a picture that is measured with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import skimage
from PIL import Image, ImageDraw, ImageFont, ImageOps
from sklearn.datasets import load_sample_images

from app.domain import UInt8Array

_PHOTOS = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "color.png", "grass.png",
    "gravel.png", "hubble_deep_field.jpg", "logo.png", "moon.png", "motorcycle_left.png", "page.png", "rocket.jpg",
    "text.png",
)  # fmt: skip
_HELD_OUT = ("chelsea.png", "coffee.png", "camera.png", "moon.png")
_SYLLABLES = ("ra", "mo", "ti", "ken", "sul", "pa", "den", "il", "wor", "ha", "ne", "sta", "가", "나", "서울", "오늘")
Painter = Callable[[np.random.Generator, int, int], Image.Image]


def foreign_pictures(count: int, seed: int, *, held_out: bool = False) -> Iterator[UInt8Array]:
    """`count` pictures (height, width, 3) uint8, 160 to 448 px, a third of them grey; the same for the same seed."""
    photos = _photos(held_out)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        width, height = (int(side) for side in rng.integers(160, 449, 2))
        if rng.random() < 0.45:
            picture = _crop(photos[rng.integers(len(photos))], rng, width, height)
        else:
            picture = _PAINTERS[rng.integers(len(_PAINTERS))](rng, width, height)
        yield _finish(picture, rng)


def _photos(held_out: bool) -> list[Image.Image]:
    folder = Path(skimage.__file__).parent / "data"
    names = [name for name in _PHOTOS if (name in _HELD_OUT) == held_out]
    photos = [Image.open(folder / name).convert("RGB") for name in names]
    return photos if held_out else photos + [Image.fromarray(photo) for photo in load_sample_images().images]


def _crop(photo: Image.Image, rng: np.random.Generator, width: int, height: int) -> Image.Image:
    share = rng.uniform(0.3, 1.0)
    across, down = photo.width * share, photo.height * share
    left, top = rng.uniform(0, photo.width - across), rng.uniform(0, photo.height - down)
    return photo.resize((width, height), Image.Resampling.BICUBIC, box=(left, top, left + across, top + down))


def _finish(picture: Image.Image, rng: np.random.Generator) -> UInt8Array:
    if rng.random() < 0.35:
        picture = picture.convert("L").convert("RGB")
    if rng.random() < 0.1:
        picture = ImageOps.invert(picture)
    if rng.random() < 0.5:
        picture = ImageOps.mirror(picture)
    pixels = np.asarray(picture, np.float32)
    pixels = (pixels - 128) * rng.uniform(0.6, 1.2) + 128 + rng.uniform(-30, 30)
    if rng.random() < 0.3:
        pixels = pixels + rng.normal(0, rng.uniform(1, 12), pixels.shape).astype(np.float32)
    return np.asarray(pixels.clip(0, 255), np.uint8)


# --------------------------------------------------------------------------- painters
def _any_colour(rng: np.random.Generator, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(low, high, 3))
    return red, green, blue


def _paper(rng: np.random.Generator, width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """White, bright, dark or any colour."""
    low, high = ((255, 256), (190, 256), (0, 70), (0, 256))[rng.integers(4)]
    image = Image.new("RGB", (width, height), _any_colour(rng, low, high))
    return image, ImageDraw.Draw(image)


def _plain(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """One colour, or two that run into each other."""
    ends = np.array([_any_colour(rng), _any_colour(rng)], np.float32)
    angle = rng.uniform(0, np.pi) if rng.random() < 0.6 else 0.0
    y, x = np.mgrid[:height, :width].astype(np.float32)
    ramp = np.cos(angle) * x / width + np.sin(angle) * y / height if angle else np.zeros((height, width), np.float32)
    mixed = ends[0] + (ends[1] - ends[0]) * np.clip(ramp, 0, 1)[..., None]
    return Image.fromarray(mixed.astype(np.uint8))


def _strokes(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A child's drawing: lines, curves and outlines."""
    image, draw = _paper(rng, width, height)
    for _ in range(rng.integers(4, 25)):
        points = [(rng.uniform(0, width), rng.uniform(0, height)) for _ in range(rng.integers(2, 7))]
        draw.line(points, fill=_any_colour(rng), width=int(rng.integers(1, 9)), joint="curve")
    return image


def _solids(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Filled ellipses, boxes and polygons."""
    image, draw = _paper(rng, width, height)
    for _ in range(rng.integers(1, 15)):
        x, y, a, b = (
            rng.uniform(0, width),
            rng.uniform(0, height),
            rng.uniform(8, width / 2),
            rng.uniform(8, height / 2),
        )
        box = (x - a, y - b, x + a, y + b)
        kind = rng.integers(3)
        if kind == 0:
            draw.ellipse(box, fill=_any_colour(rng))
        elif kind == 1:
            draw.rectangle(box, fill=_any_colour(rng))
        else:
            corners = [(x + a * rng.uniform(-1, 1), y + b * rng.uniform(-1, 1)) for _ in range(rng.integers(3, 7))]
            draw.polygon(corners, fill=_any_colour(rng))
    return image


def _creature(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A head with ears, eyes and a mouth, more or less."""
    image, draw = _paper(rng, width, height)
    x, y, r = (
        width * rng.uniform(0.35, 0.65),
        height * rng.uniform(0.4, 0.6),
        min(width, height) * rng.uniform(0.2, 0.42),
    )
    colour, line = _any_colour(rng), _any_colour(rng, 0, 90)
    for side in (-1, 1):
        tip = (x + side * r * rng.uniform(0.6, 1.1), y - r * rng.uniform(1.1, 1.6))
        draw.polygon([(x + side * r * 0.2, y - r * 0.85), tip, (x + side * r, y - r * 0.2)], fill=colour)
    draw.ellipse((x - r, y - r, x + r, y + r), fill=colour, outline=line)
    for side in (-1, 1):
        eye = (x + side * r * 0.4, y - r * 0.2, r * rng.uniform(0.06, 0.18))
        draw.ellipse((eye[0] - eye[2], eye[1] - eye[2], eye[0] + eye[2], eye[1] + eye[2]), fill=line)
    draw.arc((x - r * 0.5, y - r * 0.2, x + r * 0.5, y + r * 0.6), 15, 165, fill=line, width=4)
    return image


def _scenery(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Sky, hills one behind another, sometimes a sun and blocks of houses."""
    image = Image.new("RGB", (width, height), _any_colour(rng, 100, 256))
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.6:
        x, r = rng.uniform(0, width), rng.uniform(10, 50)
        draw.ellipse((x - r, 20, x + r, 20 + 2 * r), fill=_any_colour(rng, 180, 256))
    for layer in range(rng.integers(1, 5)):
        base, steps = height * (0.4 + 0.13 * layer), int(rng.integers(3, 12))
        tops = [(width * n / steps, base + rng.uniform(-0.15, 0.1) * height) for n in range(steps + 1)]
        draw.polygon([(0, height), *tops, (width, height)], fill=_any_colour(rng, 20, 200))
    for _ in range(rng.integers(0, 8)):
        left, size = rng.uniform(0, width), rng.uniform(15, 70)
        draw.rectangle((left, height - size * 1.4, left + size, height), fill=_any_colour(rng))
    return image


def _document(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Lines of invented words in one of a few sizes: a page, a screen, a label."""
    image, draw = _paper(rng, width, height)
    size = int(rng.integers(9, 34))
    font = ImageFont.load_default(size)
    ink = _any_colour(rng, 0, 120) if sum(image.getpixel((0, 0))) > 380 else _any_colour(rng, 150, 256)  # type: ignore[arg-type]
    for top in range(int(rng.integers(2, 30)), height, int(size * rng.uniform(1.1, 2.0))):
        words = ["".join(rng.choice(_SYLLABLES[:12], rng.integers(1, 5))) for _ in range(rng.integers(1, 14))]
        draw.text((int(rng.integers(3, 30)), top), " ".join(words), fill=ink, font=font)
    return image


def _chart(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Axes with bars, a line or dots."""
    image, draw = _paper(rng, width, height)
    left, bottom, count = 0.12 * width, 0.88 * height, int(rng.integers(4, 40))
    draw.line([(left, 0.1 * height), (left, bottom), (0.95 * width, bottom)], fill=_any_colour(rng, 0, 130), width=2)
    tops = bottom - np.abs(np.cumsum(rng.normal(0, 1, count))) / 8 * height * rng.uniform(0.3, 1)
    places = np.linspace(left + 5, 0.93 * width, count)
    colour, kind = _any_colour(rng), rng.integers(3)
    if kind == 0:
        draw.line(list(zip(places, tops, strict=True)), fill=colour, width=int(rng.integers(1, 5)))
    for x, top in zip(places, tops, strict=True):
        if kind == 1:
            draw.rectangle((x, min(top, bottom - 1), x + 0.5 * width / count, bottom), fill=colour)
        elif kind == 2:
            draw.ellipse((x - 3, top - 3, x + 3, top + 3), fill=colour)
    return image


def _grid(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Squares of two or of many colours: boards, codes, quilts."""
    across, down = int(rng.integers(2, 40)), int(rng.integers(2, 40))
    palette = rng.integers(0, 256, (rng.integers(2, 7), 3), np.uint8)
    alternating = np.add.outer(np.arange(down), np.arange(across)) % len(palette)
    cells = palette[alternating if rng.random() < 0.5 else rng.integers(0, len(palette), (down, across))]
    return Image.fromarray(cells).resize((width, height), Image.Resampling.NEAREST)


def _blotches(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Noise of some grain, grey or coloured."""
    grain = int(2 ** rng.uniform(0, 8))
    shape = (max(2, height // grain), max(2, width // grain), 1 if rng.random() < 0.5 else 3)
    noise = np.broadcast_to(rng.integers(0, 256, shape, np.uint8), (*shape[:2], 3))
    return Image.fromarray(np.ascontiguousarray(noise)).resize((width, height), Image.Resampling.BICUBIC)


def _waves(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Stripes and rings."""
    y, x = np.mgrid[:height, :width] / max(width, height)
    angle, waves = rng.uniform(0, np.pi), rng.uniform(1, 40)
    place = (
        np.hypot(x - rng.random(), y - rng.random()) if rng.random() < 0.4 else x * np.cos(angle) + y * np.sin(angle)
    )
    share = (0.5 + 0.5 * np.sin(2 * np.pi * waves * place))[..., None]
    if rng.random() < 0.5:
        share = share.round()
    return Image.fromarray((share * _any_colour(rng) + (1 - share) * _any_colour(rng)).astype(np.uint8))


_PAINTERS: tuple[Painter, ...] = (
    _plain, _strokes, _strokes, _solids, _creature, _scenery, _document, _chart, _grid, _blotches, _waves,
)  # fmt: skip
