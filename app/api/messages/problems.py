"""Titles by status and details by code, for every problem that can be answered."""

from __future__ import annotations

from app.api.messages.learning import LEARNING
from app.api.messages.media import MEDIA
from app.api.messages.text import Message

TITLES: dict[int, Message] = {
    400: Message("Malformed request", "잘못된 형식의 요청"),
    401: Message("Authentication needed", "인증 필요"),
    403: Message("Not allowed", "허용되지 않음"),
    404: Message("Not found", "찾을 수 없음"),
    405: Message("Method not allowed", "허용되지 않는 메서드"),
    408: Message("Request timed out", "요청 시간 초과"),
    409: Message("Conflict", "요청 충돌"),
    413: Message("Too large", "크기 초과"),
    415: Message("Unsupported media type", "지원하지 않는 형식"),
    421: Message("Misdirected request", "잘못 전달된 요청"),
    422: Message("Invalid input", "유효하지 않은 입력"),
    429: Message("Too many requests", "요청 과다"),
    500: Message("Internal error", "내부 오류"),
    503: Message("Not available now", "현재 사용할 수 없음"),
    504: Message("Deadline exceeded", "처리 시간 초과"),
    507: Message("Storage failed", "저장 실패"),
}

_REQUEST: dict[str, Message] = {
    "http_malformed": Message("This is not valid HTTP/1.1.", "올바른 HTTP/1.1 요청이 아닙니다."),
    "json_invalid": Message(
        "The body is not valid JSON: UTF-8, no NaN or Infinity, at most 200 levels deep.",
        "본문이 올바른 JSON이 아닙니다: UTF-8, NaN·Infinity 없음, 최대 200단계 중첩.",
    ),
    "multipart_invalid": Message(
        "The body is not valid multipart/form-data.", "본문이 올바른 multipart/form-data가 아닙니다."
    ),
    "multipart_too_many_parts": Message(
        "At most {limit} parts are accepted in one form.", "한 요청에는 최대 {limit}개의 파트만 보낼 수 있습니다."
    ),
    "body_timeout": Message(
        "The body did not arrive within {seconds} seconds.", "{seconds}초 안에 본문이 도착하지 않았습니다."
    ),
    "body_too_large": Message("The body is larger than {limit} bytes.", "본문이 {limit}바이트보다 큽니다."),
    "content_type_unsupported": Message("Send the body as {expected}.", "본문을 {expected} 형식으로 보내십시오."),
    "content_encoding_unsupported": Message(
        "Compressed bodies are not accepted: send the body without Content-Encoding.",
        "압축된 본문은 받지 않습니다. Content-Encoding 없이 보내십시오.",
    ),
    "route_not_found": Message("There is nothing at this address.", "이 주소에는 아무것도 없습니다."),
    "method_not_allowed": Message(
        "This address does not take this method.", "이 주소에서 사용할 수 없는 메서드입니다."
    ),
    "http_error": Message("The request was not accepted.", "요청이 받아들여지지 않았습니다."),
    "api_key_missing": Message(
        "Send an API key: Authorization: Bearer <key>, or X-API-Key.",
        "API 키를 보내십시오: Authorization: Bearer <키> 또는 X-API-Key.",
    ),
    "api_key_wrong": Message("This API key is not known.", "등록되지 않은 API 키입니다."),
    "origin_not_allowed": Message(
        "Web pages of this origin may not call this server.", "이 출처의 웹 페이지는 이 서버를 호출할 수 없습니다."
    ),
    "host_not_allowed": Message(
        "This server answers to localhost, 127.0.0.1 and [::1] only: the Host header names another.",
        "이 서버는 localhost, 127.0.0.1, [::1]로 온 요청에만 답합니다. Host 헤더가 다른 이름입니다.",
    ),
}

_INPUT: dict[str, Message] = {
    "validation_failed": Message(
        "Some fields are not as they must be; see errors.", "일부 항목이 올바르지 않습니다. errors를 확인하십시오."
    ),
    "case_empty": Message(
        "Give at least one of text, image, audio or video.",
        "text, image, audio, video 중 하나 이상을 보내십시오.",
    ),
    "text_too_long": Message("The text is longer than {limit} characters.", "텍스트가 {limit}자를 넘습니다."),
    "feedback_subject_missing": Message(
        "Say what the feedback is about: analysis_id, or query and prediction together.",
        "무엇에 대한 피드백인지 밝히십시오: analysis_id, 또는 query와 prediction을 함께.",
    ),
    "feedback_subject_twice": Message(
        "Give either analysis_id, or query and prediction, not both.",
        "analysis_id 또는 query·prediction 중 한 가지만 보내십시오.",
    ),
    "text_not_unicode": Message("The text is not valid Unicode.", "텍스트가 올바른 유니코드가 아닙니다."),
    "condition_unknown": Message("No such condition is known here.", "등록되지 않은 질환입니다."),
    "finding_unknown": Message("No such finding is known here.", "등록되지 않은 소견입니다."),
    "red_flag_unknown": Message("No such red flag is known here.", "등록되지 않은 위험 징후입니다."),
    "idempotency_key_invalid": Message(
        "Idempotency-Key must be 1 to 128 visible ASCII characters.",
        "Idempotency-Key는 공백 없는 ASCII 1~128자여야 합니다.",
    ),
    "idempotency_key_reused": Message(
        "This Idempotency-Key was used for a different request.",
        "이 Idempotency-Key는 이미 다른 요청에 사용되었습니다.",
    ),
    "analysis_not_found": Message(
        "No analysis with this analysis_id is stored.", "해당 analysis_id의 분석이 저장되어 있지 않습니다."
    ),
}

_SERVICE: dict[str, Message] = {
    "queue_full": Message(
        "All places are taken. Try again in {retry_after_s} s.",
        "대기열이 가득 찼습니다. {retry_after_s}초 후에 다시 시도하십시오.",
    ),
    "server_busy": Message(
        "The server is busy. Try again in {retry_after_s} s.",
        "서버가 바쁩니다. {retry_after_s}초 후에 다시 시도하십시오.",
    ),
    "too_many_connections": Message(
        "Too many connections are open. Try again in {retry_after_s} s.",
        "열린 연결이 너무 많습니다. {retry_after_s}초 후에 다시 시도하십시오.",
    ),
    "models_loading": Message(
        "The models are still loading. Try again in {retry_after_s} s.",
        "모델을 불러오는 중입니다. {retry_after_s}초 후에 다시 시도하십시오.",
    ),
    "models_failed": Message(
        "The models could not be loaded; see the server's log.",
        "모델을 불러오지 못했습니다. 서버 로그를 확인하십시오.",
    ),
    "shutting_down": Message(
        "The server is shutting down. Try again in {retry_after_s} s.",
        "서버가 종료되는 중입니다. {retry_after_s}초 후에 다시 시도하십시오.",
    ),
    "deadline_exceeded": Message(
        "The answer was not ready within {seconds} seconds.", "{seconds}초 안에 결과를 내지 못했습니다."
    ),
    "inference_cancelled": Message("The inference was stopped.", "추론이 중단되었습니다."),
    "storage_full": Message(
        "The server's disk is full: nothing was stored.", "서버의 디스크가 가득 차서 저장하지 못했습니다."
    ),
    "storage_locked": Message(
        "The database was busy for too long: nothing was stored. Try again.",
        "데이터베이스가 오랫동안 사용 중이어서 저장하지 못했습니다. 다시 시도하십시오.",
    ),
    "storage_unavailable": Message(
        "The database cannot be written now: nothing was stored.",
        "현재 데이터베이스에 기록할 수 없어 저장하지 못했습니다.",
    ),
    "internal_error": Message(
        "Something went wrong here. The request id finds it in the server's log.",
        "서버에서 오류가 발생했습니다. 요청 ID로 서버 로그에서 확인할 수 있습니다.",
    ),
}

PROBLEMS: dict[str, Message] = {**_REQUEST, **_INPUT, **MEDIA, **LEARNING, **_SERVICE}
