"""Pictures of nothing medical, drawn by code: flat colours, patterns, cartoons, pages, landscapes, charts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from app.domain import UInt8Array

SIDE = 320
"""Pixels of each picture, both ways."""
Colour = tuple[int, int, int]
Painter = Callable[[np.random.Generator], UInt8Array]

_PAGE = (
    "Chapter Four",
    "The train left the station a little after nine,",
    "and for an hour nobody in the carriage spoke.",
    "Outside, the fields lay white under the frost.",
    "At the second stop a man with a large parcel",
    "climbed in and asked whether the seat was free.",
    "Nobody answered, so he sat down and began",
    "to read his newspaper from the last page.",
)
_RECEIPT = ("CORNER STORE", "milk      1.20", "bread     2.45", "apples    3.10", "TOTAL     6.75", "thank you")


# --------------------------------------------------------------------------- patterns
def flat(colour: Colour) -> Painter:
    def paint(_rng: np.random.Generator) -> UInt8Array:
        return np.full((SIDE, SIDE, 3), colour, dtype=np.uint8)

    return paint


def horizontal_gradient(_rng: np.random.Generator) -> UInt8Array:
    ramp = np.linspace(0, 255, SIDE)
    row = np.stack([ramp, np.full(SIDE, 90.0), ramp[::-1]], axis=1)
    return row.astype(np.uint8)[None].repeat(SIDE, axis=0)


def radial_gradient(_rng: np.random.Generator) -> UInt8Array:
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    bright = np.clip(255 - np.hypot(rows, columns) * 1.4, 0, 255)
    return np.stack([bright, bright * 0.8, bright * 0.2], axis=2).astype(np.uint8)


def pixel_noise(rng: np.random.Generator) -> UInt8Array:
    return rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def cloudy_noise(rng: np.random.Generator) -> UInt8Array:
    """Coloured blotches."""
    coarse = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def checkerboard(cell: int, dark: Colour, light: Colour) -> Painter:
    def paint(_rng: np.random.Generator) -> UInt8Array:
        rows, columns = np.mgrid[:SIDE, :SIDE] // cell
        return _two_colours((rows + columns) % 2 == 0, dark, light)

    return paint


def diagonal_stripes(_rng: np.random.Generator) -> UInt8Array:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return _two_colours((rows + columns) // 16 % 2 == 0, (230, 40, 60), (250, 245, 235))


def square_code(rng: np.random.Generator) -> UInt8Array:
    """Looks like a QR code, holds nothing."""
    cells = rng.random((25, 25)) < 0.5
    for top, left in ((0, 0), (0, 18), (18, 0)):
        cells[top : top + 7, left : left + 7] = True
        cells[top + 1 : top + 6, left + 1 : left + 6] = False
        cells[top + 2 : top + 5, left + 2 : left + 5] = True
    wide = np.pad(cells, 3).repeat(10, axis=0).repeat(10, axis=1)
    margin = SIDE - len(wide)
    return _two_colours(np.pad(wide, (0, margin)), (0, 0, 0), (255, 255, 255))


def _two_colours(mask: npt.NDArray[np.bool_], where: Colour, elsewhere: Colour) -> UInt8Array:
    return np.where(mask[..., None], np.array(where, np.uint8), np.array(elsewhere, np.uint8))


# --------------------------------------------------------------------------- drawings
def smiling_face(_rng: np.random.Generator) -> UInt8Array:
    image, draw = _canvas((180, 220, 255))
    draw.ellipse((50, 50, 270, 270), fill=(255, 215, 60), outline=(0, 0, 0), width=5)
    for left in (110, 185):
        draw.ellipse((left, 115, left + 26, 150), fill=(0, 0, 0))
    draw.arc((100, 120, 220, 225), 20, 160, fill=(0, 0, 0), width=7)
    return np.asarray(image)


def cat(_rng: np.random.Generator) -> UInt8Array:
    image, draw = _canvas((200, 235, 200))
    draw_cat(draw, 160, 170, 90)
    return np.asarray(image)


def draw_cat(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    """A cartoon cat's head around (x, y)."""
    for side in (-1, 1):
        ear = [(x + side * radius * a, y - radius * b) for a, b in ((0.95, 0.2), (0.85, 1.4), (0.2, 0.9))]
        draw.polygon(ear, fill=(120, 120, 130))
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(150, 150, 160))
    for apart in (-0.4, 0.4):
        eye = (x + apart * radius, y - 0.2 * radius)
        draw.ellipse(_around(*eye, radius * 0.2), fill=(90, 200, 90))
        draw.ellipse(_around(*eye, radius * 0.08), fill=(0, 0, 0))
    draw.polygon(
        [(x - 0.12 * radius, y + 0.15 * radius), (x + 0.12 * radius, y + 0.15 * radius), (x, y + 0.3 * radius)]
    )
    for side in (-1, 1):
        for tilt in (-0.1, 0.1):
            start = (x + side * 0.3 * radius, y + 0.3 * radius)
            draw.line((*start, x + side * 1.3 * radius, y + (0.3 + tilt) * radius), fill=(40, 40, 40), width=2)


def house(_rng: np.random.Generator) -> UInt8Array:
    image, draw = _canvas((170, 215, 250))
    draw.rectangle((0, 240, SIDE, SIDE), fill=(110, 180, 80))
    draw.rectangle((90, 140, 230, 260), fill=(235, 200, 150), outline=(90, 60, 30), width=3)
    draw.polygon([(75, 140), (245, 140), (160, 65)], fill=(190, 60, 50))
    draw.rectangle((145, 195, 180, 260), fill=(110, 70, 40))
    draw.ellipse((250, 20, 300, 70), fill=(255, 220, 70))
    return np.asarray(image)


def book_page(_rng: np.random.Generator) -> UInt8Array:
    return _lines(_PAGE, (252, 250, 244), 13, 34)


def receipt(_rng: np.random.Generator) -> UInt8Array:
    return _lines(_RECEIPT, (255, 255, 255), 26, 48)


def mountains(rng: np.random.Generator) -> UInt8Array:
    image, draw = _canvas((150, 200, 240))
    for level, shade in ((150, 150), (190, 110), (230, 70)):
        heights = level + np.cumsum(rng.normal(0, 8, 17)).clip(-60, 50)
        ridge = [(index * 20.0, float(height)) for index, height in enumerate(heights)]
        draw.polygon([(0, SIDE), *ridge, (SIDE, SIDE)], fill=(shade - 30, shade, shade - 10))
    return np.asarray(image)


def sunset_sea(rng: np.random.Generator) -> UInt8Array:
    image, draw = _canvas((40, 60, 110))
    for row in range(180):
        draw.line((0, row, SIDE, row), fill=(250, 120 + row // 2, 60 + row // 3))
    draw.ellipse((120, 130, 200, 210), fill=(255, 240, 170))
    draw.rectangle((0, 180, SIDE, SIDE), fill=(40, 60, 110))
    for x, y in rng.uniform((60, 185), (250, 310), (60, 2)):
        draw.line((x, y, x + 22, y), fill=(240, 190, 120), width=2)
    return np.asarray(image)


# --------------------------------------------------------------------------- charts
def bar_chart(rng: np.random.Generator) -> UInt8Array:
    image, draw = _axes()
    for index, height in enumerate(rng.integers(40, 220, 6)):
        draw.rectangle((55 + index * 42, 280 - int(height), 85 + index * 42, 280), fill=(60, 120, 200))
    return np.asarray(image)


def line_chart(rng: np.random.Generator) -> UInt8Array:
    image, draw = _axes()
    for colour in ((200, 60, 60), (60, 150, 90)):
        heights = 160 + np.cumsum(rng.normal(0, 14, 13)).clip(-120, 110)
        draw.line([(45 + 20 * step, float(height)) for step, height in enumerate(heights)], fill=colour, width=3)
    return np.asarray(image)


def pie_chart(_rng: np.random.Generator) -> UInt8Array:
    image, draw = _canvas((255, 255, 255))
    colours = ((230, 90, 80), (80, 150, 220), (250, 200, 80), (120, 190, 110))
    for start, end, colour in zip((0, 130, 210, 300), (130, 210, 300, 360), colours, strict=True):
        draw.pieslice((50, 50, 270, 270), start, end, fill=colour, outline=(255, 255, 255), width=3)
    return np.asarray(image)


def _axes() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image, draw = _canvas((255, 255, 255))
    draw.line([(40, 20), (40, 280), (305, 280)], fill=(0, 0, 0), width=2)
    for row in range(40, 280, 48):
        draw.line((40, row, 305, row), fill=(220, 220, 220))
    return image, draw


def _lines(lines: tuple[str, ...], paper: Colour, size: int, step: int) -> UInt8Array:
    image, draw = _canvas(paper)
    font = ImageFont.load_default(size)
    for number, line in enumerate(lines):
        draw.text((14, 18 + number * step), line, fill=(20, 20, 20), font=font)
    return np.asarray(image)


def _canvas(colour: Colour) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (SIDE, SIDE), colour)
    return image, ImageDraw.Draw(image)


def _around(x: float, y: float, radius: float) -> tuple[float, float, float, float]:
    return (x - radius, y - radius, x + radius, y + radius)


PICTURES: Mapping[str, Painter] = {
    "flat_black": flat((0, 0, 0)),
    "flat_white": flat((255, 255, 255)),
    "flat_red": flat((210, 30, 40)),
    "flat_sky_blue": flat((120, 190, 240)),
    "horizontal_gradient": horizontal_gradient,
    "radial_gradient": radial_gradient,
    "pixel_noise": pixel_noise,
    "cloudy_noise": cloudy_noise,
    "fine_checkerboard": checkerboard(8, (0, 0, 0), (255, 255, 255)),
    "coarse_checkerboard": checkerboard(40, (40, 90, 60), (240, 230, 200)),
    "diagonal_stripes": diagonal_stripes,
    "square_code": square_code,
    "smiling_face": smiling_face,
    "cat": cat,
    "house": house,
    "book_page": book_page,
    "receipt": receipt,
    "mountains": mountains,
    "sunset_sea": sunset_sea,
    "bar_chart": bar_chart,
    "line_chart": line_chart,
    "pie_chart": pie_chart,
}
"""Name -> painter of RGB pixels (SIDE, SIDE, 3) uint8."""
