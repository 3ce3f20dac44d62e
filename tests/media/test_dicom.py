"""DICOM: the grey-scale pipeline by the standard's formulas, the transfer syntaxes, and nothing of the patient."""

import logging
import warnings

import numpy as np
import pytest
from pydicom.dataset import Dataset

from app.errors import AppError, UnsupportedMediaError
from app.media import MediaLimits, decode_image
from tests.media_samples import JPEG_BASELINE, RLE, dicom, encode_image, gradient, jpeg

LIMITS = MediaLimits()
RAMP = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)
UNCOMPRESSED = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"]


def grey(data: bytes) -> np.ndarray:
    image = decode_image(data, LIMITS).pixels
    assert (image[:, :, 0] == image[:, :, 1]).all()
    assert (image[:, :, 0] == image[:, :, 2]).all()
    return image[:, :, 0].astype(int)


@pytest.mark.parametrize("syntax", [*UNCOMPRESSED, RLE])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_without_a_window_the_values_span_black_to_white(syntax, dtype):
    stored = RAMP.astype(dtype) if dtype == np.uint16 else (RAMP // 24 - (64 if dtype == np.int16 else 0)).astype(dtype)
    span = stored.astype(float) - stored.min()
    expected = np.rint(span / span.max() * 255)
    assert np.abs(grey(dicom(stored, syntax=syntax)) - expected).max() <= 1


def test_rescale_and_the_first_linear_window_follow_the_standard():
    """PS3.3 C.11.2.1.2.1, written out with its own three cases."""
    got = grey(dicom(RAMP, RescaleSlope="2", RescaleIntercept="-1000", WindowCenter=[900, 5], WindowWidth=[1200, 7]))
    x, c, w = RAMP * 2.0 - 1000.0, 900.0, 1200.0
    inside = ((x - (c - 0.5)) / (w - 1) + 0.5) * 255
    expected = np.where(x <= c - 0.5 - (w - 1) / 2, 0, np.where(x > c - 0.5 + (w - 1) / 2, 255, inside))
    assert np.abs(got - expected).max() <= 0.51


@pytest.mark.parametrize(
    ("function", "formula"),
    [
        ("LINEAR_EXACT", lambda x: np.clip((x - 1000) / 500 + 0.5, 0, 1) * 255),
        ("SIGMOID", lambda x: 255 / (1 + np.exp(-4 * (x - 1000) / 500))),
    ],
)
def test_other_window_functions(function, formula):
    got = grey(dicom(RAMP, WindowCenter="1000", WindowWidth="500", VOILUTFunction=function))
    assert np.abs(got - formula(RAMP.astype(float))).max() <= 0.51


def test_monochrome1_is_inverted():
    window = {"WindowCenter": "1000", "WindowWidth": "500"}
    assert np.array_equal(grey(dicom(RAMP, photometric="MONOCHROME1", **window)), 255 - grey(dicom(RAMP, **window)))


def test_padding_does_not_stretch_the_range():
    stored = RAMP.copy() + 1000
    stored[0, :] = 0
    got = grey(dicom(stored, PixelPaddingValue=0))
    assert got[1, 0] == 0
    assert got[-1, -1] == 255


@pytest.mark.parametrize("width", ["0", "-5", "1"])
def test_a_window_without_width_is_no_window(width):
    assert np.array_equal(grey(dicom(RAMP, WindowCenter="5", WindowWidth=width)), grey(dicom(RAMP)))


def test_a_blank_frame_is_black():
    assert not grey(dicom(np.full((32, 32), 77, np.uint16))).any()


def test_colour():
    assert np.array_equal(decode_image(dicom(gradient(), photometric="RGB"), LIMITS).pixels, gradient())
    ybr = dicom(gradient(), photometric="YBR_FULL_422", syntax=JPEG_BASELINE, frame=jpeg())
    assert np.abs(decode_image(ybr, LIMITS).pixels.astype(int) - gradient()).mean() < 4


def test_jpeg_baseline_grey():
    frame = encode_image(gradient()[:, :, 0], "JPEG", quality=95)
    assert np.abs(grey(dicom(gradient()[:, :, 0], syntax=JPEG_BASELINE, frame=frame)) - gradient()[:, :, 0]).mean() < 2


@pytest.mark.parametrize(("stated", "read"), [("DX", "DX"), ("CR", "CR"), (None, None), ("MRS KIM", None)])
def test_modality_is_a_code_or_nothing(stated, read):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = dicom(RAMP, Modality=stated)
    assert decode_image(data, LIMITS).modality == read


def test_a_large_frame_is_reduced():
    image = decode_image(dicom(np.tile(RAMP, (4, 4))), MediaLimits(kept_image_pixels=48 * 64))
    assert image.pixels.shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (lambda: dicom(RAMP, syntax="1.2.840.10008.1.2.1.99"), "dicom_transfer_syntax_unsupported"),
        (lambda: dicom(RAMP, syntax="1.2.840.10008.1.2.4.70", frame=jpeg()), "dicom_transfer_syntax_unsupported"),
        (lambda: dicom(RAMP, NumberOfFrames=2), "dicom_multiframe"),
        (lambda: dicom(RAMP, photometric="PALETTE COLOR"), "dicom_photometric_unsupported"),
        (lambda: dicom(RAMP, PixelData=None), "dicom_without_pixels"),
    ],
)
def test_what_is_not_read_has_its_own_code(data, code):
    with pytest.raises(AppError) as caught:
        decode_image(data(), LIMITS)
    assert caught.value.code == code


def test_a_deflated_file_is_refused_before_it_is_inflated(monkeypatch):
    monkeypatch.setattr("zlib.decompress", lambda *_: pytest.fail("inflated"))
    with pytest.raises(UnsupportedMediaError):
        decode_image(dicom(RAMP, syntax="1.2.840.10008.1.2.1.99"), LIMITS)


def test_no_element_of_the_patient_is_touched(monkeypatch):
    """Every element that pydicom hands over is on our list; the file holds a name and an id."""
    read: set[str] = set()
    original = Dataset.__getitem__

    def watching(self, key):
        element = original(self, key)
        if hasattr(element, "keyword"):
            read.add(element.keyword)
        return element

    data = dicom(RAMP, WindowCenter="1000", WindowWidth="500")
    monkeypatch.setattr(Dataset, "__getitem__", watching)
    decode_image(data, LIMITS)
    assert "Rows" in read
    assert not {name for name in read if name.startswith("Patient")}


def test_nothing_of_the_file_is_logged_or_warned_about(caplog, capfd):
    """A damaged file with names in every free place: pydicom warns about values, Pillow logs tags."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = dicom(RAMP, Modality="SECRET", WindowCenter="1", WindowWidth="2")
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for cut in (len(data), len(data) // 2, 400, 200):
            if cut == len(data):
                decode_image(data, LIMITS)
                continue
            with pytest.raises(AppError) as caught:
                decode_image(data[:cut], LIMITS)
            assert "SECRET" not in str(caught.value)
            assert caught.value.__cause__ is None
    assert not seen
    assert "SECRET" not in caplog.text
    assert "SECRET" not in "".join(capfd.readouterr())
