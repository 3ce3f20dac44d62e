"""The learning loop's own: problems of its routes, and what became of a feedback row."""

from __future__ import annotations

from app.api.messages.text import Message

LEARNING: dict[str, Message] = {
    "admin_key_required": Message(
        "This needs an admin key; the key that was sent is for cases and feedback.",
        "관리자 키가 필요합니다. 보내신 키는 분석과 피드백에만 쓸 수 있습니다.",
    ),
    "admin_keys_not_set": Message(
        "This needs an admin key, and this server has none: its operator sets ADMIN_KEYS.",
        "관리자 키가 필요하지만 이 서버에는 설정되어 있지 않습니다. 운영자가 ADMIN_KEYS를 설정해야 합니다.",
    ),
    "feedback_not_found": Message(
        "No feedback of yours with this feedback_id is stored.",
        "해당 feedback_id로 저장된 본인의 피드백이 없습니다.",
    ),
    "run_not_found": Message("There is no learning run with this id.", "해당 ID의 학습 실행이 없습니다."),
    "version_not_found": Message("There is no version with this id.", "해당 ID의 버전이 없습니다."),
    "change_record_not_found": Message(
        "This run has no change record: the gate has not judged it.",
        "이 실행에는 변경 기록이 없습니다. 아직 승인 심사를 받지 않았습니다.",
    ),
    "run_active": Message(
        "Learning run {run_id} is active already. Wait for it, or cancel it.",
        "이미 진행 중인 학습 실행({run_id})이 있습니다. 끝나기를 기다리거나 취소하십시오.",
    ),
    "run_decided": Message(
        "The gate has decided on this run: it can no longer be cancelled.",
        "이 실행은 이미 승인 여부가 결정되어 취소할 수 없습니다.",
    ),
    "run_finished": Message("This run has ended.", "이미 끝난 실행입니다."),
    "lease_lost": Message(
        "Another worker holds this run, or it has ended.", "다른 워커가 이 실행을 맡고 있거나 이미 끝났습니다."
    ),
    "cancel_requested": Message("This run is to be cancelled.", "취소가 요청된 실행입니다."),
    "feedback_gone": Message(
        "Feedback that this run chose was removed meanwhile.", "이 실행에 쓰려던 피드백이 그 사이 삭제되었습니다."
    ),
    "nothing_to_learn": Message(
        "No feedback that can be learnt from is waiting.", "대기 중인 피드백 가운데 학습에 쓸 수 있는 것이 없습니다."
    ),
    "learning_disabled": Message(
        "This server does not learn: LORA_ENABLED is false.",
        "이 서버는 학습하지 않도록 설정되어 있습니다(LORA_ENABLED=false).",
    ),
    "version_changed": Message(
        "Another version has become active since you looked. Look again, then decide.",
        "그 사이 활성 버전이 바뀌었습니다. 다시 확인한 뒤 결정하십시오.",
    ),
    "version_not_servable": Message(
        "This version cannot be served: a file of it is damaged, or it was made for other encoders. The server's log "
        "says which.",
        "이 버전은 사용할 수 없습니다. 파일이 손상되었거나 다른 인코더용으로 만들어졌습니다. 서버 로그에서 확인할 수 "
        "있습니다.",
    ),
    "versions_unreadable": Message(
        "The record of versions cannot be read; see the server's log.",
        "버전 기록을 읽을 수 없습니다. 서버 로그를 확인하십시오.",
    ),
}

OUTCOMES: dict[str, Message] = {
    "waiting": Message("Waiting to be learnt from.", "학습을 기다리고 있습니다."),
    "in_training": Message("A learning run is using it now.", "지금 진행 중인 학습에 사용되고 있습니다."),
    "promoted": Message(
        "The version that was made with it passed every check and was put into service.",
        "이 피드백이 반영된 버전이 모든 검사를 통과하여 적용되었습니다.",
    ),
    "rejected": Message(
        "The version that was made with it did not pass the checks, and was not put into service.",
        "이 피드백이 반영된 버전이 검사를 통과하지 못하여 적용되지 않았습니다.",
    ),
    "unusable": Message("It is kept, and cannot be learnt from.", "보관되어 있지만 학습에는 쓸 수 없습니다."),
}
"""By `FeedbackOutcome`."""

EXCLUSIONS: dict[str, Message] = {
    "no_analysis": Message(
        "It names no stored analysis, so there is nothing to learn from.", "저장된 분석과 연결되어 있지 않습니다."
    ),
    "no_label": Message("It does not say which diagnosis is right.", "어떤 진단이 옳은지가 들어 있지 않습니다."),
    "unknown_label": Message(
        "The model knows no condition of the corrected name.", "수정된 진단명이 모델이 아는 질환이 아닙니다."
    ),
    "other_encoder": Message(
        "The analysis was made by another revision of the encoders.", "다른 버전의 인코더로 만든 분석입니다."
    ),
    "contradicted": Message(
        "Verdicts on the same case name different conditions.", "같은 사례에 대한 판정들이 서로 다른 질환을 가리킵니다."
    ),
    "duplicate": Message(
        "The same verdict on the same case was counted already.", "같은 사례에 대한 같은 판정이 이미 반영되었습니다."
    ),
}
"""By `ExclusionReason`."""
