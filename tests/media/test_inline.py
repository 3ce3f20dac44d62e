"""Strings to bytes: base64 in its dialects, `data:` URIs, and everything that names a place instead."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInputError, PayloadTooLargeError, UnsupportedMediaError
from app.media import decode_inline
from app.media import inline as inline_module
from app.media.sniff import skip_id3
from tests.media_samples import base64_of, data_uri, jpeg, sound

REFERENCES = [
    "http://example.org/a.png",
    "HTTPS://example.org/a",
    "file:///etc/passwd",
    "ftp://host/x",
    "s3://bucket/key",
    "gs://bucket/key",
    "blob:1234",
    "//host/share/a.png",
    "//server/share",
    "/etc/passwd",
    "/9j/a.jpg",
    "/var/lib/uploads/images/patient",
    "C:\\scans\\a.dcm",
    "C:/scans/a.dcm",
    "\\\\host\\share\\a",
    "../../etc/passwd",
    "./a.wav",
    "~/a.wav",
    "images/a.png",
    "a.png",
    "  http://example.org/a.png  ",
    "http://example.org/" + "a" * 5000,
    "/" + "a/" * 5000,
    "concat:a.mp3|b.mp3",
    "pipe:0",
    "subfile,,start,0,end,0,,:/etc/passwd",
]
NOT_BASE64 = [
    "????",
    "AAA\0",
    "가나다라",
    "AAAAA",
    "A",
    "AB=",
    "AB===",
    "====",
    "A===",
    "=AAA",
    "AA=A",
    "-_+/",
    "\ud800AAA",
]


@pytest.mark.parametrize("value", REFERENCES)
def test_a_place_is_refused_and_nothing_is_opened(value, monkeypatch):
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("opened"))
    code = "media_reference_not_allowed" if not value.startswith("subfile") else "media_base64_invalid"
    with pytest.raises(InvalidInputError) as caught:
        decode_inline(value, max_bytes=1000, field="image")
    assert caught.value.code == code
    assert caught.value.params == {"field": "image"}


@pytest.mark.parametrize("value", NOT_BASE64)
def test_what_is_not_base64(value):
    with pytest.raises(InvalidInputError) as caught:
        decode_inline(value, max_bytes=1000, field="audio")
    assert caught.value.code == "media_base64_invalid"


@given(data=st.binary(min_size=1, max_size=300), urlsafe=st.booleans(), padded=st.booleans(), wrap=st.booleans())
def test_every_dialect_of_base64_comes_back(data, urlsafe, padded, wrap):
    text = (base64.urlsafe_b64encode if urlsafe else base64.b64encode)(data).decode()
    text = text if padded else text.rstrip("=")
    text = "\r\n".join(text[i : i + 76] for i in range(0, len(text), 76)) if wrap else text
    if text.startswith("/"):  # only a JPEG or a long MP3 may start so: a path would look the same
        return
    assert decode_inline(text, max_bytes=300, field="image") == data


@pytest.mark.parametrize("data", [jpeg(), skip_id3(sound("mp3"))], ids=["jpeg", "mp3"])
def test_media_whose_base64_begins_with_a_slash(data):
    assert base64_of(data).startswith("/")
    assert decode_inline(base64_of(data), max_bytes=10**6, field="audio") == data
    assert decode_inline(base64.urlsafe_b64encode(data).decode(), max_bytes=10**6, field="audio") == data


@pytest.mark.parametrize(
    ("field", "media_type"),
    [
        ("image", "image/png"),
        ("image[3]", "IMAGE/PNG"),
        ("image", "application/dicom"),
        ("image", "application/octet-stream"),
        ("audio", "audio/ogg;codecs=opus"),
        ("video", "video/mp4"),
        ("image", ""),
    ],
)
def test_a_data_uri_of_a_type_that_suits_the_field(field, media_type):
    assert decode_inline(data_uri(b"\x01\x02\x03", media_type), max_bytes=9, field=field) == b"\x01\x02\x03"


@pytest.mark.parametrize(
    ("value", "error", "code"),
    [
        ("data:image/png,abc", InvalidInputError, "media_data_uri_not_base64"),
        ("data:image/png;base64", InvalidInputError, "media_data_uri_invalid"),
        ("data:" + "x" * 400 + ";base64,AAAA", InvalidInputError, "media_data_uri_invalid"),
        ("data:image;base64,AAAA", InvalidInputError, "media_data_uri_invalid"),
        ("data:;base64,", InvalidInputError, "image_empty"),
        ("data:text/html;base64,AAAA", UnsupportedMediaError, "media_type_not_accepted"),
        ("data:audio/wav;base64,AAAA", UnsupportedMediaError, "media_type_not_accepted"),
        ("data:image/png;base64,%41%41", InvalidInputError, "media_base64_invalid"),
        ("data:image/png;base64,http://x/", InvalidInputError, "media_base64_invalid"),
        ("", InvalidInputError, "image_empty"),
        (" \n\t ", InvalidInputError, "image_empty"),
        ("A A A A" + " " * 500 + "A", InvalidInputError, "media_base64_invalid"),
    ],
)
def test_bad_strings(value, error, code):
    with pytest.raises(error) as caught:
        decode_inline(value, max_bytes=1000, field="image")
    assert caught.value.code == code


def test_the_size_is_checked_before_decoding(monkeypatch):
    assert len(decode_inline(base64_of(bytes(999)), max_bytes=999, field="video")) == 999
    monkeypatch.setattr(inline_module.binascii, "a2b_base64", lambda *_, **__: pytest.fail("decoded"))
    for size in (1000, 1001, 100_000):
        with pytest.raises(PayloadTooLargeError) as caught:
            decode_inline(base64_of(bytes(size)), max_bytes=999, field="video")
        assert caught.value.code == "video_too_large"
        assert caught.value.params == {"field": "video", "limit_bytes": 999}


@given(st.text(max_size=200))
def test_any_string_gives_bytes_or_one_of_our_errors(value):
    refusal = None
    try:
        assert decode_inline(value, max_bytes=100, field="audio")
    except (InvalidInputError, PayloadTooLargeError, UnsupportedMediaError) as error:
        refusal = error
    assert refusal is None or refusal.params["field"] == "audio"


def test_a_field_that_is_no_medium_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="not a media field"):
        decode_inline("AAAA", max_bytes=10, field="text")
