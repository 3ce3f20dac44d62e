"""Why a file was refused, for each kind of media."""

from __future__ import annotations

from app.api.messages.text import Message

_ACCEPTED = {
    "image": "JPEG, PNG, WebP, BMP, TIFF, DICOM",
    "audio": "WAV, FLAC, MP3, OGG, M4A",
    "video": "MP4, WebM, MOV",
}
_NAMES = {"image": ("image", "이미지"), "audio": ("sound", "오디오"), "video": ("video", "동영상")}


def _for_each_kind() -> dict[str, Message]:
    """The codes that `app.media.subject` builds as `<kind>_<suffix>`."""
    messages: dict[str, Message] = {}
    for kind, (en, ko) in _NAMES.items():
        accepted = _ACCEPTED[kind]
        messages |= {
            f"{kind}_empty": Message(f"The {en} file is empty.", f"{ko} 파일이 비어 있습니다."),
            f"{kind}_damaged": Message(
                f"The {en} file is damaged or cut off.", f"{ko} 파일이 손상되었거나 잘려 있습니다."
            ),
            f"{kind}_unsupported": Message(
                f"The {en} file is not of a format that is read here. Accepted: {accepted}.",
                f"지원하지 않는 {ko} 파일입니다. 지원 형식: {accepted}.",
            ),
            f"{kind}_too_large": Message(
                f"The {en} file is larger than {{limit_bytes}} bytes.", f"{ko} 파일이 {{limit_bytes}}바이트보다 큽니다."
            ),
            f"{kind}_too_long": Message(
                f"The {en} is longer than {{limit_seconds}} seconds.", f"{ko} 길이가 {{limit_seconds}}초를 넘습니다."
            ),
            f"{kind}_too_many_pixels": Message(
                f"The {en} has more than {{limit_pixels}} pixels.", f"{ko}의 픽셀 수가 {{limit_pixels}}개를 넘습니다."
            ),
            f"{kind}_too_complex": Message(
                f"Decoding the {en} takes too much work.", f"{ko} 디코딩에 필요한 작업량이 너무 많습니다."
            ),
            f"{kind}_shape_unsupported": Message(
                f"The {en} must be at least {{min_side}} pixels on each side and at most {{max_aspect}} times as long "
                "as wide.",
                f"{ko}의 각 변은 {{min_side}}픽셀 이상, 가로세로 비율은 {{max_aspect}}배 이하여야 합니다.",
            ),
        }
    return messages


MEDIA: dict[str, Message] = {
    **_for_each_kind(),
    "audio_too_short": Message(
        "The sound is shorter than {min_seconds} seconds.", "오디오 길이가 {min_seconds}초보다 짧습니다."
    ),
    "video_without_frames": Message("The video holds no picture.", "동영상에 화면이 없습니다."),
    "video_sound_unsupported": Message(
        "The sound track of the video is in a format that is not read here.",
        "동영상의 음성 트랙 형식을 지원하지 않습니다.",
    ),
    "image_aspect_ratio": Message(
        "The image is more than {limit} times as long as wide.", "이미지의 가로세로 비율이 {limit}배를 넘습니다."
    ),
    "audio_not_finite": Message(
        "The sound holds samples that are no numbers.", "오디오에 숫자가 아닌 표본이 있습니다."
    ),
    "video_frame_rate": Message("The video states no usable frame rate.", "동영상의 프레임 속도를 알 수 없습니다."),
    "sequence_too_long": Message(
        "The case is longer than the model can read ({limit} tokens).",
        "사례가 모델이 읽을 수 있는 길이({limit} 토큰)를 넘습니다.",
    ),
    "dicom_multiframe": Message(
        "Only DICOM files with a single frame are read.", "단일 프레임 DICOM 파일만 지원합니다."
    ),
    "dicom_photometric_unsupported": Message(
        "The pixel format of this DICOM file is not read here.", "이 DICOM 파일의 픽셀 형식은 지원하지 않습니다."
    ),
    "dicom_transfer_syntax_unsupported": Message(
        "The transfer syntax of this DICOM file is not read here.", "이 DICOM 파일의 전송 구문은 지원하지 않습니다."
    ),
    "dicom_without_pixels": Message("This DICOM file holds no image.", "이 DICOM 파일에는 영상이 없습니다."),
    "media_reference_not_allowed": Message(
        "Paths and addresses are never opened: send the file itself, as base64 or a data: URI.",
        "경로나 주소는 열지 않습니다. 파일 자체를 base64 또는 data: URI로 보내십시오.",
    ),
    "media_base64_invalid": Message("This is not valid base64.", "올바른 base64가 아닙니다."),
    "media_data_uri_invalid": Message("This is not a valid data: URI.", "올바른 data: URI가 아닙니다."),
    "media_data_uri_not_base64": Message("The data: URI must be base64.", "data: URI는 base64 형식이어야 합니다."),
    "media_type_not_accepted": Message(
        "The data: URI declares another type than {accepted}.", "data: URI에 선언된 형식이 {accepted}가 아닙니다."
    ),
}
