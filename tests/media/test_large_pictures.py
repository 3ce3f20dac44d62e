"""Large pictures: the same pixels band by band, little memory beside the picture itself, and one at a time."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from app.domain import CaseRequest
from app.media import LargePictureTurns, MediaLimits, decode_image
from app.services import decoding
from app.services.decoding import CaseDecoder
from tests.media_samples import dicom, encode_image, gradient

WIDTH, HEIGHT = 2003, 1501
"""Three bands, and sides that no factor divides."""
PEAK = """
import sys
from app.media import MediaLimits, decode_image
def peak_mib():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
data = open(sys.argv[1], "rb").read()
before = peak_mib()
decode_image(data, MediaLimits())
print(peak_mib() - before)
"""


def noise(*channels: int, top: int = 256, dtype: Any = np.uint8) -> Any:
    return np.random.default_rng(7).integers(0, top, (HEIGHT, WIDTH, *channels)).astype(dtype)


def over_white(picture: Pillow.Image) -> Pillow.Image:
    layer = picture.convert("RGBA")
    return Pillow.alpha_composite(Pillow.new("RGBA", layer.size, "white"), layer).convert("RGB")


def transparent_palette() -> Pillow.Image:
    picture = Pillow.fromarray(noise()).convert("P")
    picture.info["transparency"] = bytes(range(256))
    return picture


@pytest.mark.parametrize("factor", [1, 3])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "I;16", "F"])
def test_bands_make_the_pixels_that_the_whole_picture_makes(mode: str, factor: int) -> None:
    made = {
        "RGB": lambda: Pillow.fromarray(noise(3)),
        "RGBA": lambda: Pillow.fromarray(noise(4)),
        "LA": lambda: Pillow.fromarray(noise(2)),
        "P": transparent_palette,
        "I;16": lambda: Pillow.fromarray(noise(top=4096, dtype=np.uint16)),
        "F": lambda: Pillow.fromarray(noise(top=4096, dtype=np.float32) - 100),
    }[mode]()
    options = {"transparency": made.info["transparency"]} if mode == "P" else {}
    data = encode_image(made, "TIFF" if mode == "F" else "PNG", **options)
    if mode in {"I;16", "F"}:
        values = np.asarray(made, np.float32)
        values = values / 4095 if mode == "I;16" else (values - values.min()) / (values.max() - values.min())
        whole = Pillow.fromarray(np.rint(values * 255).astype(np.uint8)).convert("RGB")
    else:
        whole = over_white(made)
    got = decode_image(data, MediaLimits(kept_image_pixels=-(-WIDTH * HEIGHT // factor**2))).pixels
    expected = np.asarray(whole.reduce(factor) if factor > 1 else whole)
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).max() <= (1 if mode in {"I;16", "F"} else 0)


@pytest.mark.parametrize(
    ("mode", "limit_mib"), [("RGBA", 230), ("LA", 230), ("P", 120), ("I;16", 150), ("RGB", 230), ("CMYK", 230)]
)
def test_little_is_held_beside_the_picture_itself(mode: str, limit_mib: int, tmp_path: Path) -> None:
    """35 Mpx; four bytes each are 133 MiB. Several copies of that at once were 650 MiB."""
    options = {"transparency": bytes(range(256))} if mode == "P" else {}
    file = tmp_path / "picture"
    file.write_bytes(encode_image(Pillow.new(mode, (5900, 5900)), "JPEG" if mode == "CMYK" else "PNG", **options))
    done = subprocess.run([sys.executable, "-c", PEAK, file], capture_output=True, text=True, check=True, timeout=60)
    assert 10 < float(done.stdout) < limit_mib


@pytest.mark.parametrize("data", [encode_image(gradient(), "PNG"), dicom(gradient(), photometric="RGB")])
def test_large_pictures_wait_for_one_another(data: bytes) -> None:
    turns, decoded = LargePictureTurns(large_pixels=48 * 64 - 1), threading.Event()

    def decode() -> None:
        decode_image(data, MediaLimits(), turns=turns)
        decoded.set()

    thread = threading.Thread(target=decode)
    with turns.take(48 * 64):
        thread.start()
        assert not decoded.wait(0.2)
    assert decoded.wait(10)
    thread.join()


def test_small_pictures_never_wait_and_a_failure_ends_the_turn() -> None:
    turns = LargePictureTurns(large_pixels=48 * 64)
    with turns.take(48 * 64 + 1):
        assert decode_image(encode_image(gradient(), "PNG"), MediaLimits(), turns=turns).pixels.shape == (48, 64, 3)
    large = encode_image(gradient(128, 96), "PNG")
    with pytest.raises(Exception, match="image_damaged"):
        decode_image(large[:-200], MediaLimits(), turns=turns)
    assert decode_image(large, MediaLimits(), turns=turns).pixels.shape == (96, 128, 3)


def test_the_pictures_of_all_cases_share_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[LargePictureTurns] = []

    def spy(data: bytes, limits: MediaLimits, *, field: str, turns: LargePictureTurns) -> Any:
        seen.append(turns)
        return decode_image(data, limits, field=field, turns=turns)

    monkeypatch.setattr(decoding, "decode_image", spy)
    decoder, picture = CaseDecoder(MediaLimits()), encode_image(gradient(), "PNG")
    for _ in range(2):
        decoder.decode(CaseRequest(images=(picture, picture)), "en")
    assert len(seen) == 4
    assert len(set(map(id, seen))) == 1
