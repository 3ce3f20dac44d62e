"""What a change record says, in both languages. `{name}` stands for a value that `change_record` fills in."""

from __future__ import annotations

from typing import NamedTuple

from app.domain import Language


class Phrase(NamedTuple):
    """One heading, label or paragraph."""

    en: str
    ko: str

    def to(self, language: Language) -> str:
        return self.ko if language == "ko" else self.en


HEADINGS: dict[str, Phrase] = {
    "title": Phrase("Change record {run}", "변경 기록 {run}"),
    "modification": Phrase("1. Description of modifications", "1. 변경 내용"),
    "network": Phrase("1.1 The network", "1.1 신경망"),
    "feedback": Phrase("1.2 Feedback that it learnt from", "1.2 학습에 쓴 피드백"),
    "protocol": Phrase("2. Modification protocol", "2. 변경 절차"),
    "data": Phrase("2.1 Data management", "2.1 데이터 관리"),
    "training": Phrase("2.2 Re-training", "2.2 재학습"),
    "evaluation": Phrase("2.3 Performance evaluation", "2.3 성능 평가"),
    "update": Phrase("2.4 Update procedure", "2.4 업데이트 절차"),
    "traceability": Phrase("2.5 Traceability", "2.5 추적성"),
    "impact": Phrase("3. Impact assessment", "3. 영향 평가"),
    "checks": Phrase("3.1 Guarded figures", "3.1 보호되는 지표"),
    "specialties": Phrase("3.2 Specialties", "3.2 진료과"),
    "held_out": Phrase("3.3 Held-out feedback and calibration", "3.3 학습에 쓰지 않은 피드백과 보정"),
    "benefit_risk": Phrase("3.4 Benefits and risks", "3.4 이득과 위험"),
    "decision": Phrase("4. Decision", "4. 판정"),
    "activations": Phrase("5. Activations", "5. 적용 이력"),
}

PARAGRAPHS: dict[str, Phrase] = {
    "shape": Phrase(
        "Laid out after the FDA guidance “Marketing Submission Recommendations for a Predetermined Change Control "
        "Plan for Artificial Intelligence-Enabled Device Software Functions” (docket FDA-2022-D-2628). Written by "
        "the software from what it measured; it holds no patient data. The software is not an authorised medical "
        "device.",
        "미국 FDA 지침 “Marketing Submission Recommendations for a Predetermined Change Control Plan for Artificial "
        "Intelligence-Enabled Device Software Functions”(docket FDA-2022-D-2628)의 구성을 따랐습니다. 소프트웨어가 "
        "측정한 값으로 작성하며 환자 정보는 들어 있지 않습니다. 이 소프트웨어는 허가받은 의료기기가 아닙니다.",
    ),
    "scope": Phrase(
        "The fusion network of this installation is adapted to the feedback of its own clinicians: low-rank "
        "adapters on its linear layers, its output heads, and its calibration. The encoders, the knowledge base, "
        "the red flags, the inputs and outputs and the intended use do not change. The change is local to this "
        "installation, and is made and put into use automatically where every check below is passed.",
        "이 설치본의 융합 신경망을 이곳 의료진의 피드백에 맞춥니다. 바뀌는 것은 선형층의 저랭크 어댑터, 출력 헤드, "
        "확률 보정입니다. 인코더, 지식 베이스, 위험 신호, 입출력 형식, 사용 목적은 바뀌지 않습니다. 변경은 이 "
        "설치본에만 해당하며, 아래 검사를 모두 통과한 경우에만 자동으로 적용됩니다.",
    ),
    "redefinitions": Phrase(
        "Conditions that several clinicians corrected in the same direction, taken as a changed local meaning:",
        "여러 의료진이 같은 방향으로 고쳐, 이곳에서 쓰는 뜻이 달라진 것으로 본 질환:",
    ),
    "redefined": Phrase(
        "Base-set cases of conditions whose meaning this run or one before it has changed are left out of the replay:",
        "이번이나 이전 실행에서 뜻이 달라진 다음 질환의 기본 학습 사례는 재학습에서 뺐습니다:",
    ),
    "data": Phrase(
        "Feedback is joined to the stored embeddings of its case; no text and no media are read. What one API key "
        "and one label can weigh is capped; repeated verdicts count once; cases with contradicting verdicts are "
        "left out. The gate set is frozen and fixed by its hash, and no training sees it; held-out feedback is set "
        "aside before training.",
        "피드백을 저장된 사례 임베딩과 연결하며, 글이나 영상은 읽지 않습니다. API 키 하나와 진단명 하나가 가질 수 "
        "있는 비중에는 상한이 있고, 반복된 의견은 한 번만 세며, 의견이 엇갈리는 사례는 뺍니다. 관문 세트는 해시로 "
        "고정되어 어떤 학습에도 쓰이지 않고, 평가용 피드백은 학습 전에 따로 떼어 둡니다.",
    ),
    "evaluation": Phrase(
        "The candidate and the serving version answer the same gate set and the same held-out feedback. The "
        "candidate is promoted only if no guarded figure falls beyond the margin stated here before training:",
        "후보와 현재 버전이 같은 관문 세트와 같은 평가용 피드백에 답합니다. 학습 전에 정한 아래 허용 폭을 넘어 "
        "나빠진 지표가 하나도 없을 때에만 후보를 적용합니다.",
    ),
    "update": Phrase(
        "A version is an immutable folder whose every file is hashed. Activation switches one pointer atomically; "
        "cases in progress finish on the version that they began with, and every answer names its version. Any "
        "earlier version can be activated again, by an administrator over the API or by `python -m app.activate`, "
        "and then answers exactly as before. Decisions and activations are entries of an append-only, hash-chained "
        "audit log.",
        "버전은 모든 파일의 해시를 기록한 변경 불가 폴더입니다. 포인터 하나를 원자적으로 바꾸어 적용하며, 처리 "
        "중이던 사례는 시작한 버전으로 끝나고, 모든 답에는 버전이 적힙니다. 관리자는 API나 `python -m "
        "app.activate`로 언제든 이전 버전을 다시 적용할 수 있고, 그러면 이전과 똑같이 답합니다. 판정과 적용은 "
        "해시로 이어진 추가 전용 감사 기록에 남습니다.",
    ),
    "local_risk": Phrase(
        "Risks that remain: feedback may be wrong in the same way at several clinicians; a condition with few cases "
        "in the gate set is guarded only by its specialty; figures of the gate set say little about patients unlike "
        "its cases. Against them stand the caps, the corroboration of several keys, red-flag floors that training "
        "cannot reach, abstention, and rollback.",
        "남는 위험: 여러 의료진의 피드백이 같은 방향으로 틀릴 수 있고, 관문 세트에 사례가 적은 질환은 진료과 "
        "단위로만 보호되며, 관문 세트와 다른 환자에 대해서는 이 수치가 말해 주는 것이 적습니다. 이에 대비해 비중 "
        "상한, 여러 키의 일치 확인, 학습이 건드릴 수 없는 위험 신호 하한, 판단 유보, 되돌리기를 둡니다.",
    ),
    "cumulative": Phrase(
        "Every candidate is compared with the version that serves, on the same frozen gate set and on feedback held "
        "out of this run and of earlier ones, so that small losses of one run are seen in the next.",
        "모든 후보는 현재 버전과 같은 고정 관문 세트, 그리고 이번과 이전 학습에서 떼어 둔 피드백으로 비교하므로, "
        "작은 손실이 쌓이면 다음 학습에서 드러납니다.",
    ),
    "promote": Phrase(
        "**Promote.** Every guarded figure stayed within its margin.",
        "**적용.** 모든 보호 지표가 허용 폭 안에 있었습니다.",
    ),
    "reject": Phrase(
        "**Reject.** The candidate does not answer cases; the serving version stays.",
        "**기각.** 후보는 사례에 답하지 않으며, 현재 버전을 그대로 씁니다.",
    ),
    "undecided": Phrase(
        "No decision is recorded.",
        "기록된 판정이 없습니다.",
    ),
    "not_activated": Phrase(
        "No activation had been recorded when this was written.",
        "이 문서를 작성할 때 기록된 적용이 없었습니다.",
    ),
    "none": Phrase(
        "None.",
        "없음.",
    ),
}

LABELS: dict[str, Phrase] = {
    "run": Phrase("Run", "학습 실행"),
    "trigger": Phrase("Trigger", "시작 계기"),
    "requested_by": Phrase("Requested by", "요청자"),
    "created_at": Phrase("Opened", "등록"),
    "started_at": Phrase("Started", "시작"),
    "finished_at": Phrase("Finished", "종료"),
    "parent_version": Phrase("Parent version", "이전 버전"),
    "candidate_version": Phrase("Candidate version", "후보 버전"),
    "adapter": Phrase("Adapter (LoRA)", "어댑터(LoRA)"),
    "target_modules": Phrase("Adapted layers", "어댑터를 단 층"),
    "modules_to_save": Phrase("Heads trained whole", "통째로 학습한 헤드"),
    "parameters": Phrase("Trained parameters", "학습한 파라미터"),
    "code_revision": Phrase("Code revision", "코드 리비전"),
    "service_version": Phrase("Service version", "서비스 버전"),
    "knowledge_version": Phrase("Knowledge base", "지식 베이스"),
    "learning_sets": Phrase("Replay and gate sets, SHA-256", "재학습·관문 세트 SHA-256"),
    "train": Phrase("Trained on", "학습"),
    "earlier": Phrase("Of earlier promoted runs, trained on again", "이전에 적용된 실행에서 다시 학습"),
    "validation": Phrase("Validation (early stopping)", "검증(조기 종료)"),
    "held_out": Phrase("Held out for the gate", "관문 평가용"),
    "keys": Phrase("API keys", "API 키"),
    "weight_total": Phrase("Weight after caps", "상한 적용 후 비중"),
    "replay": Phrase("Replayed base-set cases; left out", "함께 학습한 기본 사례; 제외"),
    "excluded": Phrase("Left out because", "제외 이유"),
    "label": Phrase("Label", "진단명"),
    "rows": Phrase("Rows", "건수"),
    "from": Phrase("Answered", "모델의 답"),
    "to": Phrase("Meant here", "이곳의 뜻"),
    "gate_cases": Phrase("Gate set, cases", "관문 세트 사례 수"),
    "gate_digest": Phrase("Gate set, digest", "관문 세트 해시"),
    "emergencies": Phrase("Emergencies, cases", "응급 사례 수"),
    "held_out_rows": Phrase("Held-out feedback; from earlier runs", "평가용 피드백; 이전 실행분"),
    "seed": Phrase("Seed", "시드"),
    "steps": Phrase("Steps; best", "스텝; 최적"),
    "train_loss": Phrase("Training loss", "학습 손실"),
    "validation_loss": Phrase("Validation loss: first, best, last", "검증 손실: 처음, 최저, 마지막"),
    "seconds": Phrase("Seconds", "소요 시간(초)"),
    "peak_memory": Phrase("Peak memory, MB", "최대 메모리(MB)"),
    "setting": Phrase("Setting", "설정"),
    "value": Phrase("Value", "값"),
    "figure": Phrase("Figure", "지표"),
    "meaning": Phrase("Meaning", "뜻"),
    "margin": Phrase("Margin", "허용 폭"),
    "serving": Phrase("Serving", "현재"),
    "candidate": Phrase("Candidate", "후보"),
    "change": Phrase("Change", "변화"),
    "passed": Phrase("Passed", "통과"),
    "specialty": Phrase("Specialty", "진료과"),
    "cases": Phrase("Cases", "사례"),
    "modified": Phrase("Modification", "변경"),
    "made_by": Phrase("Made by", "만드는 절차"),
    "checked_by": Phrase("Checked by", "확인하는 지표"),
    "better": Phrase("Better", "나아진 지표"),
    "worse": Phrase("Worse, within the margin", "허용 폭 안에서 나빠진 지표"),
    "failed": Phrase("Beyond the margin", "허용 폭을 벗어난 지표"),
    "reason": Phrase("Reason", "사유"),
    "at": Phrase("When (UTC)", "시각(UTC)"),
    "action": Phrase("What", "내용"),
    "version": Phrase("Version", "버전"),
    "by": Phrase("Who", "누가"),
    "entry": Phrase("Audit entry", "감사 기록 번호"),
    "accuracy": Phrase("Accuracy", "정확도"),
    "log_loss": Phrase("Log loss", "로그 손실"),
    "calibration": Phrase("Calibration", "보정"),
    "yes": Phrase("yes", "예"),
    "no": Phrase("**no**", "**아니요**"),
    "unrecorded": Phrase("not recorded", "기록 없음"),
}

TERMS: dict[str, Phrase] = {
    "automatic": Phrase("automatic: enough feedback waited", "자동: 피드백이 충분히 쌓임"),
    "manual": Phrase("manual", "수동"),
    "worker": Phrase("the learning worker", "학습 워커"),
    "operator": Phrase("an operator at the command line", "명령줄의 운영자"),
    "local": Phrase("a local caller without a key", "키가 없는 로컬 호출자"),
    "version.activating": Phrase("activation begun", "적용 시작"),
    "version.not_activated": Phrase("activation refused", "적용 거부됨"),
    "version.activated": Phrase("activated", "적용됨"),
    "no_analysis": Phrase("it names no stored analysis", "저장된 분석을 가리키지 않음"),
    "no_label": Phrase("it says of no condition that it is right", "옳은 진단을 알려 주지 않음"),
    "unknown_label": Phrase("its diagnosis is none that the network knows", "신경망이 모르는 진단명"),
    "other_encoder": Phrase("embeddings of another encoder revision", "다른 인코더 버전의 임베딩"),
    "contradicted": Phrase("verdicts on the case contradict each other", "같은 사례에 대한 의견이 엇갈림"),
    "duplicate": Phrase("the case was counted already", "이미 센 사례"),
}
"""Codes that are worded; any other is shown as it is."""

CHECKS: dict[str, Phrase] = {
    "gate_accuracy": Phrase("first condition right, whole gate set", "관문 세트 전체에서 첫 진단이 맞은 비율"),
    "unchanged_accuracy": Phrase(
        "the same, conditions whose meaning did not change", "뜻이 바뀌지 않은 질환에서 첫 진단이 맞은 비율"
    ),
    "cumulative_accuracy": Phrase(
        "the same, against the version that the service came with", "같은 비율, 처음 제공된 버전과 비교"
    ),
    "gate_ece": Phrase("expected calibration error", "기대 보정 오차"),
    "triage_under": Phrase("triage under-estimated", "중증도를 낮게 본 비율"),
    "red_flags": Phrase("red-flag suite answered as an emergency", "위험 신호 사례를 응급으로 답한 비율"),
    "specialty_loss": Phrase("loss, the specialty that fares worst", "가장 나빠진 진료과의 손실"),
    "held_out_accuracy": Phrase(
        "first condition as clinicians said, held-out feedback", "평가용 피드백에서 의료진과 일치한 비율"
    ),
    "held_out_log_loss": Phrase("log loss, held-out feedback", "평가용 피드백의 로그 손실"),
}

TRACES: tuple[tuple[Phrase, Phrase, Phrase], ...] = (
    (
        Phrase("Adapters and heads of the fusion network", "융합 신경망의 어댑터와 헤드"),
        Phrase("2.1, 2.2", "2.1, 2.2"),
        Phrase(
            "accuracies, specialties, triage, red flags, held-out feedback",
            "정확도, 진료과, 중증도, 위험 신호, 평가용 피드백",
        ),
    ),
    (
        Phrase("Local meaning of a condition", "질환의 이곳에서의 뜻"),
        Phrase("2.1: corroboration by several API keys", "2.1: 여러 API 키의 일치"),
        Phrase("held-out feedback; accuracy on unchanged conditions", "평가용 피드백, 바뀌지 않은 질환의 정확도"),
    ),
    (
        Phrase("Calibration", "보정"),
        Phrase("2.2: refitted on data that training did not see", "2.2: 학습에 쓰지 않은 자료로 다시 맞춤"),
        Phrase("expected calibration error, log loss", "기대 보정 오차, 로그 손실"),
    ),
)
"""Modification, the part of the protocol that makes it, the figures that check it."""
