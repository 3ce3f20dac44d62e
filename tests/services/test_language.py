import pytest

from app.services.language import detect_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("가슴이 아파요", "ko"),
        ("chest pain 2시간 전부터", "ko"),
        ("I have chest pain", "en"),
        ("C.C. dyspnea, onset 3 days ago", "en"),
        ("ㅠㅠ 아파", "ko"),
        ("38.5 / 120", None),
        ("", None),
        ("douleur thoracique", "en"),
    ],
)
def test_by_its_hangul(text: str, language: str | None) -> None:
    assert detect_language(text) == language
