"""What is wrong with one field. None of these repeats the value that was sent."""

from __future__ import annotations

from app.api.messages.text import Message

VALIDATION: dict[str, Message] = {
    "field_required": Message("This field is required.", "필수 항목입니다."),
    "field_unknown": Message(
        "There is a field here that is not known. Known fields: {known}.",
        "알 수 없는 항목이 있습니다. 사용할 수 있는 항목: {known}.",
    ),
    "field_repeated": Message("This field may be given once only.", "이 항목은 한 번만 보낼 수 있습니다."),
    "not_a_string": Message("A string is needed.", "문자열이어야 합니다."),
    "not_a_number": Message("A number is needed, not a string.", "문자열이 아닌 숫자여야 합니다."),
    "not_an_integer": Message("A whole number is needed, not a string.", "문자열이 아닌 정수여야 합니다."),
    "not_a_boolean": Message("true or false is needed.", "true 또는 false여야 합니다."),
    "not_an_object": Message("A JSON object is needed.", "JSON 객체여야 합니다."),
    "not_a_list": Message("A string or a list of strings is needed.", "문자열 또는 문자열 목록이어야 합니다."),
    "not_finite": Message("The number must be finite.", "유한한 숫자여야 합니다."),
    "too_small": Message("The value must be at least {limit}.", "{limit} 이상이어야 합니다."),
    "too_large": Message("The value must be at most {limit}.", "{limit} 이하여야 합니다."),
    "too_short": Message("At least {limit} is needed.", "최소 {limit}개(자)가 필요합니다."),
    "too_long": Message("At most {limit} are accepted.", "최대 {limit}개(자)까지 허용됩니다."),
    "not_a_choice": Message("Must be one of: {choices}.", "다음 중 하나여야 합니다: {choices}."),
    "blood_pressure_order": Message(
        "The systolic pressure (sbp) must be above the diastolic pressure (dbp).",
        "수축기 혈압(sbp)은 이완기 혈압(dbp)보다 높아야 합니다.",
    ),
    "null_character": Message("The text holds a null character.", "텍스트에 널(null) 문자가 있습니다."),
    "not_utf8": Message("The text is not valid UTF-8.", "텍스트가 올바른 UTF-8이 아닙니다."),
    "not_json": Message("This part is not valid JSON.", "이 부분은 올바른 JSON이 아닙니다."),
    "value_invalid": Message("The value is not accepted here.", "사용할 수 없는 값입니다."),
}
