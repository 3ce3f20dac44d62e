"""What an answer warns of (`Analysis.warnings` holds the codes), and what a stored feedback is told."""

from __future__ import annotations

from app.api.messages.text import Message

WARNINGS: dict[str, Message] = {
    "text_truncated": Message(
        "The text is longer than a model reads: what stands at its end was not looked at by every part.",
        "텍스트가 모델이 읽을 수 있는 길이보다 깁니다. 뒷부분은 일부 모델이 읽지 못했습니다.",
    ),
    "saliency_skipped": Message(
        "There was no time for the saliency map of every image: send the case again when the service is less busy, or "
        "with fewer images.",
        "시간이 부족하여 주목 영역 지도를 만들지 못한 영상이 있습니다. 서비스가 한가할 때 다시 보내거나 영상 수를 줄여 "
        "보내십시오.",
    ),
    "not_stored": Message(
        "This analysis could not be stored: feedback cannot refer to its analysis_id.",
        "이 분석은 저장되지 않았습니다. analysis_id로 피드백을 보낼 수 없습니다.",
    ),
    "out_of_scope": Message(
        "This case looks unlike anything that the model was trained on.",
        "이 사례는 모델이 학습한 사례들과 크게 다릅니다.",
    ),
    "low_certainty": Message(
        "No condition stands out: add symptoms, their duration, vital signs or an image.",
        "뚜렷하게 의심되는 질환이 없습니다. 증상, 지속 기간, 활력징후 또는 영상을 추가하십시오.",
    ),
}

NOTICES: dict[str, Message] = {
    "feedback_stored": Message("Thank you: the feedback is stored.", "감사합니다. 피드백이 저장되었습니다."),
    "feedback_replayed": Message("This feedback was stored before.", "이미 저장된 피드백입니다."),
    "correction_unknown": Message(
        "The corrected diagnosis matches no known condition; it is kept as written and flagged for review.",
        "수정된 진단명이 등록된 질환과 일치하지 않아, 입력한 그대로 저장하고 검토 대상으로 표시했습니다.",
    ),
    "query_not_kept": Message(
        "The case text was not kept: this server stores no patient texts.",
        "이 서버는 환자 텍스트를 저장하지 않으므로 사례 텍스트는 보관하지 않았습니다.",
    ),
}
