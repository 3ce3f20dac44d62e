"""Pictures of every format, depth, colour model and orientation come out as the RGB they show."""

import numpy as np
import pytest
from PIL import Image as Pillow

from app.media import MediaLimits, decode_image
from tests.media_samples import encode_image, gradient, jpeg

LIMITS = MediaLimits()
EXIF_ORIENTATION = 0x0112


def pixels(data: bytes) -> np.ndarray:
    return decode_image(data, LIMITS).pixels


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("WEBP", {"lossless": True, "exact": True}),
    ],
)
def test_lossless_formats_come_back_exactly(kind, options):
    image = decode_image(encode_image(gradient(), kind, **options), LIMITS)
    assert np.array_equal(image.pixels, gradient())
    assert image.pixels.dtype == np.uint8
    assert image.modality is None


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_come_back_nearly(kind):
    got = pixels(encode_image(gradient(), kind, quality=95)).astype(int)
    assert np.abs(got - gradient()).mean() < 4


def test_a_progressive_jpeg_and_a_blank_picture():
    assert np.abs(pixels(jpeg(progressive=True)).astype(int) - gradient()).mean() < 4
    blank = np.full((16, 16, 3), 9, np.uint8)
    assert np.array_equal(pixels(encode_image(blank, "PNG")), blank)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_sixteen_bit_grey_is_scaled_by_the_bits_that_it_uses(kind, bits):
    top = (1 << bits) - 1
    grey = np.linspace(0, top, 32 * 32).reshape(32, 32).astype(np.uint16)
    got = pixels(encode_image(grey, kind))
    assert np.array_equal(got[:, :, 0], np.rint(grey.astype(np.float32) * np.float32(255 / top)).astype(np.uint8))
    assert (got[0, 0] == 0).all()
    assert (got[-1, -1] == 255).all()


def test_float_and_negative_integers_are_stretched_from_lowest_to_highest():
    ramp = np.linspace(-3.0, 7.0, 20 * 20).reshape(20, 20)
    for values in (ramp.astype(np.float32), (ramp * 1000).astype(np.int32)):
        got = pixels(encode_image(values, "TIFF"))[:, :, 0]
        assert (got.min(), got.max()) == (0, 255)
        assert abs(int(got[10, 0]) - 128) <= 2


def test_transparency_lies_over_white():
    layer = np.zeros((20, 20, 4), np.uint8)
    layer[:10, :, :] = (200, 0, 0, 255)
    layer[10:, :, 3] = 0
    got = pixels(encode_image(layer, "PNG"))
    assert tuple(got[0, 0]) == (200, 0, 0)
    assert tuple(got[-1, 0]) == (255, 255, 255)
    grey = Pillow.new("LA", (20, 20), (0, 128))
    assert 120 <= pixels(encode_image(grey, "PNG"))[0, 0, 0] <= 135


def test_palette_grey_bilevel_and_cmyk_become_rgb():
    base = Pillow.fromarray(gradient())
    assert np.abs(pixels(encode_image(base.quantize(256), "PNG")).astype(int) - gradient()).mean() < 12
    assert np.array_equal(pixels(encode_image(base.convert("L"), "PNG"))[:, :, 1], np.asarray(base.convert("L")))
    assert set(np.unique(pixels(encode_image(base.convert("1"), "TIFF")))) == {0, 255}
    cmyk = pixels(encode_image(base.convert("CMYK"), "JPEG", quality=95)).astype(int)
    assert np.abs(cmyk - gradient()).mean() < 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_makes_the_picture_upright(kind, orientation):
    """What the camera stored is the upright picture, turned back."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    upright = Pillow.fromarray(gradient())
    stored = upright if orientation == 1 else upright.transpose(Pillow.Transpose(undo[orientation]))
    exif = Pillow.Exif()
    exif[EXIF_ORIENTATION] = orientation
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(kind, {})
    got = pixels(encode_image(stored, kind, exif=exif, **options))
    assert got.shape == gradient().shape
    assert np.abs(got.astype(int) - gradient()).mean() < 4


def test_the_first_picture_of_several_is_taken():
    first, second = Pillow.fromarray(gradient()), Pillow.new("RGB", (64, 48), (1, 2, 3))
    for kind in ("TIFF", "PNG", "WEBP"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encode_image(first, kind, save_all=True, append_images=[second], **options)
        assert np.array_equal(pixels(data), gradient())


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("factor", [2, 3, 4, 6, 12])
def test_a_large_picture_is_reduced_by_a_whole_factor(kind, factor):
    data = encode_image(gradient(1200, 900), kind, **({"quality": 95} if kind == "JPEG" else {}))
    image = decode_image(data, MediaLimits(kept_image_pixels=1200 * 900 // factor**2))
    assert image.pixels.shape == (900 // factor, 1200 // factor, 3)
    reference = np.asarray(Pillow.fromarray(gradient(1200, 900)).reduce(factor)).astype(int)
    assert np.abs(image.pixels.astype(int) - reference).mean() < 4


def test_the_format_is_read_from_the_bytes_alone():
    """Nothing else could tell: the function gets no name. Bytes before the picture make it unknown."""
    assert pixels(encode_image(gradient(), "PNG")).shape == (48, 64, 3)
    with pytest.raises(Exception, match="image_unsupported"):
        pixels(b" " + encode_image(gradient(), "PNG"))
