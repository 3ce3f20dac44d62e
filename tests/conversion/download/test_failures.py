"""What the download says when hub, network or disk will not: one line, in the reader's language, no token."""

from __future__ import annotations

import errno
import re
import socket
from pathlib import Path
from string import Formatter

import huggingface_hub
import pytest

from app.conversion import download_messages
from app.conversion.download_lock import Lock
from tests.conversion.download.fake_hub import MEDICAL, PAGE, SECRET

ROOT = Path(__file__).resolve().parents[3]
SHARD = "model-layer0.safetensors"


@pytest.mark.parametrize("token", [SECRET, ""])
def test_a_gated_repository_says_how_to_get_in(hub, refused, monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    hub.gated.add(MEDICAL)
    line = refused("--slot", "medical")
    assert line.startswith(f"error: {MEDICAL} is gated: accept its terms on its page at 127.0.0.1")
    assert "HF_TOKEN" in line


def test_a_missing_repository_and_a_missing_revision_are_told_apart(hub, refused):
    assert "has no repository clinic/none" in refused("--slot", "medical", "--medical", "clinic/none")
    assert f"{MEDICAL} has no revision v9" in refused("--slot", "medical", "--medical-revision", "v9")
    assert "clinic//none is no repository name" in refused("--slot", "medical", "--medical", "clinic//none")


def test_an_unknown_token_is_named_but_not_printed(hub, run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_someoneElses")
    result = run("--slot", "medical")
    assert result.code == 1
    assert "does not know the token in HF_TOKEN" in result.err
    assert "hf_someoneElses" not in result.out + result.err


def test_no_network_is_one_line(hub, refused, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://user:{SECRET}@127.0.0.1:{unused.getsockname()[1]}")
        line = refused("--slot", "medical")
    assert line.startswith("error: no connection to 127.0.0.1 (ConnectionError)")
    assert "HF_ENDPOINT" in line


@pytest.mark.parametrize("endpoint", ["mirror.example", "ftp://mirror.example", "http://"])
def test_an_endpoint_that_is_no_address(hub, refused, monkeypatch, endpoint):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert refused("--slot", "medical").startswith("error: HF_ENDPOINT is no address")


def test_offline_mode_is_named(hub, refused, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.utils._http.reset_sessions()
    try:
        assert "HF_HUB_OFFLINE is set" in refused("--slot", "medical")
    finally:
        monkeypatch.undo()
        huggingface_hub.utils._http.reset_sessions()


def test_a_login_page_in_place_of_everything(hub, run, refused):
    hub.pages_only = True
    assert "what 127.0.0.1 answers is not the hub's" in refused("--slot", "medical")


def test_a_login_page_in_place_of_a_list_that_is_known(hub, run, refused, root):
    assert run("--slot", "medical").code == 0
    (root / "medical" / SHARD).unlink()
    hub.pages_only = True
    assert "what 127.0.0.1 answers is not the hub's" in refused("--slot", "medical")


def test_a_login_page_in_place_of_a_file_leaves_nothing_behind(hub, run, refused, root, medical_folder):
    hub.instead[SHARD] = [PAGE]
    assert "a proxy or login page" in refused("--slot", "medical")
    size = (medical_folder / SHARD).stat().st_size
    hub.instead[SHARD] = [PAGE.ljust(size), PAGE.ljust(size)]  # of the right length, too
    assert "a proxy or login page" in refused("--slot", "medical")
    hub.instead[SHARD] = [b"short"]
    assert f"{SHARD} did not come whole" in refused("--slot", "medical")
    assert run("--slot", "medical").code == 0
    assert (root / "medical" / SHARD).read_bytes() == (medical_folder / SHARD).read_bytes()


def test_a_mirror_without_hashes_is_refused(hub, refused):
    hub.without_hashes = True
    assert "gives no size and hash for " in refused("--slot", "medical")


def test_a_file_that_the_hub_has_lost(hub, run, refused, root):
    assert run("--slot", "medical").code == 0
    (root / "medical" / "config.json").unlink()
    del hub.repos[MEDICAL].commits[Lock.load(root / "medical.lock.json").revision]["config.json"]
    assert "has no file config.json" in refused("--slot", "medical")


def test_a_disk_that_fills_up_on_the_way(hub, refused, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/somewhere")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    assert refused("--slot", "medical").startswith("error: the disk is full: make room")


def test_a_folder_that_cannot_be_written(hub, refused, root):
    root.write_text("a file")
    assert refused("--slot", "medical") == f"error: File exists: {root}"


def test_korean_where_the_locale_is(hub, run, refused, monkeypatch):
    monkeypatch.setenv("LANG", "ko_KR.UTF-8")
    assert run("--check").out == "omni: 받지 않았음\nmedical: 받지 않았음\n"
    hub.gated.add(MEDICAL)
    assert refused("--slot", "medical").startswith(f"오류: {MEDICAL}: 이용 약관 동의가 필요합니다.")
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    assert refused("--slot", "medical").startswith("error: ")


def test_every_message_says_the_same_in_both_languages():
    for code, (english, korean) in download_messages.MESSAGES.items():
        fields = [{field for _, field, _, _ in Formatter().parse(line) if field} for line in (english, korean)]
        assert fields[0] == fields[1], code
        assert "\n" not in english + korean


def test_every_code_that_is_raised_has_its_message():
    sources = [path.read_text() for path in (ROOT / "app" / "conversion").glob("download*.py")]
    raised = {code for source in sources for code in re.findall(r'"(download_[a-z_]+)"', source)}
    assert len(raised) > 15
    assert raised <= download_messages.MESSAGES.keys()


def test_bytes_are_written_with_their_unit():
    sizes = [0, 999, 1000, 999_949, 1_500_000, 15_200_000_000, 2_000_000_000_000]
    shown = [
        download_messages.text("en", "fetching", slot="omni", file="f", size=size).rpartition("fetching ")[2]
        for size in sizes
    ]
    assert shown == ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.5 MB", "15.2 GB", "2000.0 GB"]
