"""What the download says, in English and Korean. One line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from app.errors import ArtifactError

Language = Literal["en", "ko"]
BYTE_PARAMS = frozenset({"needed", "here", "free", "size"})

MESSAGES: dict[str, tuple[str, str]] = {
    # --- errors -------------------------------------------------------------------------------------------------------
    "download_gated": (
        "{repo} is gated: accept its terms on its page at {host}, make a token with read access there and set HF_TOKEN",
        "{repo}: 이용 약관 동의가 필요합니다. {host}의 모델 페이지에서 동의하고 읽기 토큰을 HF_TOKEN에 넣으십시오",
    ),
    "download_repo_missing": (
        "{host} has no repository {repo}, or shows it only to some: check the name; if it is private, set HF_TOKEN",
        "{host}에 {repo} 저장소가 없거나 공개되지 않았습니다. 이름을 확인하고, 비공개라면 HF_TOKEN을 넣으십시오",
    ),
    "download_revision_missing": (
        "{repo} has no revision {revision}: name another (--omni-revision, --medical-revision; main: the newest)",
        "{repo}에 {revision} 리비전이 없습니다. 다른 것을 쓰십시오(--omni-revision, --medical-revision; main: 최신)",
    ),
    "download_file_missing": (
        "{repo} has no file {file} at {revision}",
        "{repo}의 {revision}에 {file} 파일이 없습니다",
    ),
    "download_no_checkpoint": (
        "{repo} is no checkpoint that can be converted: it has no {file}",
        "{repo}에 {file} 파일이 없어 변환할 수 없는 저장소입니다",
    ),
    "download_repo_invalid": (
        "{repo} is no repository name: owner/name",
        "{repo}: 저장소 이름은 owner/name 형식입니다",
    ),
    "download_token_refused": (
        "{host} does not know the token in HF_TOKEN (or of `hf auth login`): make a new one, or unset it",
        "{host}에서 HF_TOKEN(또는 hf auth login)의 토큰을 거절했습니다. 새로 만들거나 지우십시오",
    ),
    "download_http_status": (
        "{host} cannot give {repo} now ({detail}): run it again later, it goes on where it stopped",
        "{host}에서 지금 {repo}을(를) 받을 수 없습니다({detail}). 나중에 다시 실행하면 이어서 받습니다",
    ),
    "download_no_network": (
        "no connection to {host} ({detail}): run it again, it goes on where it stopped; HF_ENDPOINT names a mirror",
        "{host}에 연결할 수 없습니다({detail}). 다시 실행하면 이어서 받습니다. 미러는 HF_ENDPOINT로 지정합니다",
    ),
    "download_no_trust": (
        "the certificate of {host} is not trusted: a proxy may need its own (REQUESTS_CA_BUNDLE)",
        "{host}의 인증서를 신뢰할 수 없습니다. 프록시의 인증서가 필요하면 REQUESTS_CA_BUNDLE로 지정하십시오",
    ),
    "download_endpoint_invalid": (
        "HF_ENDPOINT is no address like https://mirror.example",
        "HF_ENDPOINT가 https://mirror.example 같은 주소가 아닙니다",
    ),
    "download_offline": ("HF_HUB_OFFLINE is set: unset it", "HF_HUB_OFFLINE이 설정되어 있습니다. 해제하십시오"),
    "download_not_the_hub": (
        "what {host} answers is not the hub's: a proxy or login page may stand in between",
        "{host}의 응답이 허브의 것이 아닙니다. 프록시나 로그인 페이지가 중간에 있을 수 있습니다",
    ),
    "download_no_hashes": (
        "{host} gives no size and hash for {file}: use another mirror (HF_ENDPOINT)",
        "{host}에서 {file}의 크기와 해시를 주지 않습니다. 다른 미러(HF_ENDPOINT)를 쓰십시오",
    ),
    "download_truncated": (
        "{file} did not come whole from {host}: run it again, it goes on where it stopped",
        "{host}에서 {file}을(를) 끝까지 받지 못했습니다. 다시 실행하면 이어서 받습니다",
    ),
    "download_hash": (
        "{file} came twice with another hash than {repo} publishes for {revision}: it was removed; try another network",
        "{file}의 해시가 {repo} {revision}의 것과 두 번 달랐습니다. 파일을 지웠습니다. 다른 네트워크에서 해 보십시오",
    ),
    "download_changed": (
        "{host} publishes another hash for {file} of {repo} {revision} than the lock file has: nothing was taken",
        "{host}에서 주는 {repo} {revision} {file}의 해시가 잠금 파일과 다릅니다. 아무것도 받지 않았습니다",
    ),
    "download_disk_full": (
        "not enough room on the disk: {needed} are needed, {here} of them are here already, {free} are free",
        "디스크 공간이 모자랍니다: 필요 {needed}, 이미 받은 것 {here}, 남은 공간 {free}",
    ),
    "download_disk_full_during": (
        "the disk is full: make room and run it again, it goes on where it stopped",
        "디스크가 가득 찼습니다. 공간을 만들고 다시 실행하면 이어서 받습니다",
    ),
    "download_running": (
        "another download is running in {folder}",
        "{folder}에서 다른 다운로드가 실행 중입니다",
    ),
    "download_lock_invalid": (
        "{file} is damaged: bring it back, or remove it to begin anew",
        "{file} 파일이 손상되었습니다. 되돌려 놓거나, 처음부터 받으려면 지우십시오",
    ),
    "download_failed": ("{file} of {repo}: {detail}", "{repo}의 {file}: {detail}"),
    "conversion_slot": (
        "a {architecture} cannot serve as {slot}",
        "{architecture} 모델은 {slot} 자리에 쓸 수 없습니다",
    ),
    "conversion_cut_layer": (
        "{cut_layer} layers cannot be had: the model has {layers}",
        "레이어 {cut_layer}개는 받을 수 없습니다. 이 모델의 레이어는 {layers}개입니다",
    ),
    "system": ("{detail}", "{detail}"),
    # --- progress and report ------------------------------------------------------------------------------------------
    "fetching": ("{slot}/{file}: fetching {size}", "{slot}/{file}: 받는 중 {size}"),
    "fetched": ("{slot}/{file}: whole, hash checked", "{slot}/{file}: 완료, 해시 확인"),
    "refetching": ("{slot}/{file}: damaged, fetched again", "{slot}/{file}: 손상되어 다시 받음"),
    "space": (
        "needed {needed}, here already {here}, free {free}",
        "필요 {needed}, 이미 받은 것 {here}, 남은 공간 {free}",
    ),
    "title": ("{slot}: {repo} at {revision}, {layers}", "{slot}: {repo} 리비전 {revision}, {layers}"),
    "all_layers": ("all layers", "전체 레이어"),
    "first_layers": ("the first {layers} layers", "처음 {layers}개 레이어"),
    "never": ("{slot}: not downloaded", "{slot}: 받지 않았음"),
    "never_this": ("{slot}: {repo} was not downloaded in this form", "{slot}: {repo}을(를) 이 형태로 받지 않았음"),
    "state_whole": ("whole", "정상"),
    "state_missing": ("missing", "없음"),
    "state_partial": ("partial", "일부"),
    "state_damaged": ("damaged", "손상"),
    "state_line": ("  {state}  {file}  {size}", "  {state}  {file}  {size}"),
    "state_partial_line": ("  {state}  {file}  {here} of {size}", "  {state}  {file}  {size} 중 {here}"),
    "sum": ("{slot}: {whole} of {files} files are whole", "{slot}: 파일 {files}개 중 {whole}개 정상"),
    "being_written": ("a download is running in {folder} now", "지금 {folder}에서 다운로드가 실행 중입니다"),
    "next": ("next: {command}", "다음 단계: {command}"),
    "error": ("error: {detail}", "오류: {detail}"),
    "interrupted": (
        "interrupted: run it again, it goes on where it stopped",
        "중단되었습니다. 다시 실행하면 이어서 받습니다",
    ),
}


def language_of(environment: Mapping[str, str]) -> Language:
    """Korean where the locale says so: the first of LC_ALL, LC_MESSAGES and LANG that is set."""
    names = (environment.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "ko" if next(filter(None, names), "").startswith("ko") else "en"


def text(language: Language, code: str, **params: str | int | float) -> str:
    """A message of the table; numbers of bytes are written with their unit."""
    shown = {
        name: _bytes(value) if name in BYTE_PARAMS and isinstance(value, int) else value
        for name, value in params.items()
    }
    return MESSAGES[code][language == "ko"].format(**shown)


def error_line(language: Language, error: ArtifactError) -> str:
    """One line for an error, whichever part of the conversion it comes from."""
    detail = text(language, error.code, **error.params) if error.code in MESSAGES else str(error)
    return text(language, "error", detail=" ".join(detail.split()))


def _bytes(count: int) -> str:
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
