"""The download of the full pair, against a hub on this machine: which files, which bytes, which state."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest

from app.conversion import download
from app.conversion.download_cli import main
from app.conversion.download_lock import Lock, exclusive
from tests.conversion.download.fake_hub import MEDICAL, OMNI

ROOT = Path(__file__).resolve().parents[3]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


# --------------------------------------------------------------------------- which files
def test_only_what_the_conversion_reads_is_fetched(hub, run, root, omni_folder):
    assert run().code == 0
    assert names(root / "omni") == names(omni_folder) - {
        *("model-lm_head.safetensors", "model-talker.safetensors", "model-token2wav.safetensors"),
        *("spk_dict.pt", "README.md"),
    }
    assert names(root / "medical") >= {"config.json", "tokenizer.json", "model-embed_tokens.safetensors"}
    assert "model-lm_head.safetensors" not in names(root / "medical")
    asked = " ".join(path for _, path, _ in hub.requests)
    assert not [word for word in ("talker", "token2wav", "lm_head", "spk_dict", "README") if word in asked]
    for name in names(root / "omni"):
        assert (root / "omni" / name).read_bytes() == (omni_folder / name).read_bytes()


def test_first_layers_alone_come_and_convert(hub, run, root, tmp_path):
    from app.conversion import ConversionRequest, NoProgress, convert

    assert run("--layers", "2", "--medical-layers", "1").code == 0
    assert {name for name in names(root / "omni") if "layer" in name} == {
        "model-layer0.safetensors",
        "model-layer1.safetensors",
    }
    assert "model-norm.safetensors" not in names(root / "medical")
    assert "model-layer1.safetensors" not in names(root / "medical")
    lock = Lock.load(root / "medical.lock.json")
    request = ConversionRequest(
        checkpoint=root / "medical",
        output=tmp_path / "out",
        quantization="none",
        source=lock.repo,
        source_revision=lock.revision,
        cut_layer=1,
        slot="medical",
    )
    assert convert(request, NoProgress()).decoder.layers == 4
    # more layers later: what is here stays and is not fetched again
    hub.requests.clear()
    assert run("--slot", "medical", "--layers", "all").code == 0
    assert {name for name in hub.transfers() if "layer" in name} == {f"model-layer{n}.safetensors" for n in (1, 2, 3)}


def test_a_pickled_checkpoint_is_taken_where_there_are_no_safetensors(hub, run, root, medical_folder):
    files = {path.name: path.read_bytes() for path in medical_folder.iterdir() if path.suffix == ".json"}
    index = json.loads(files.pop("model.safetensors.index.json"))
    renamed = {name: shard.replace("safetensors", "bin") for name, shard in index["weight_map"].items()}
    files["pytorch_model.bin.index.json"] = json.dumps({"weight_map": renamed}).encode()
    hub.publish("clinic/pickled", {**files, **{shard: shard.encode() for shard in renamed.values()}})
    assert run("--slot", "medical", "--medical", "clinic/pickled", "--layers", "1").code == 0
    assert {name for name in names(root / "medical") if name.endswith(".bin")} == {
        "model-embed_tokens.bin",
        "model-layer0.bin",
    }
    small = {name: data for name, data in files.items() if "index" not in name}
    hub.publish("clinic/single", {**small, "pytorch_model.bin": b"all", "model.safetensors": b"safe"})
    assert run("--slot", "medical", "--medical", "clinic/single").code == 0
    assert {name for name in names(root / "medical") if name.endswith((".bin", ".safetensors"))} == {
        "model.safetensors"
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: files.pop("config.json"), "has no config.json"),
        (lambda files: files.pop("model.safetensors.index.json"), "has no model.safetensors"),
        (lambda files: files.pop("model-layer1.safetensors"), "has no model-layer1.safetensors"),
        (lambda files: files.update({"config.json": b'{"architectures": ["BertModel"]}'}), "BertModel"),
        (lambda files: files.update({"model.safetensors.index.json": b'{"weight_map": {}}'}), "is missing"),
    ],
)
def test_what_could_not_be_converted_is_refused_before_any_weight(hub, refused, root, medical_folder, change, message):
    files = {path.name: path.read_bytes() for path in medical_folder.iterdir()}
    change(files)
    hub.publish("clinic/odd", files)
    assert message in refused("--slot", "medical", "--medical", "clinic/odd")
    assert not [name for name in hub.transfers() if name.endswith(".safetensors")]


def test_a_model_of_the_other_slot_is_refused(hub, refused):
    assert "LlamaForCausalLM cannot serve as omni" in refused("--slot", "omni", "--omni", MEDICAL)


# --------------------------------------------------------------------------- which revision
def test_the_first_commit_is_kept_until_another_is_named(hub, run, refused, root, medical_folder, monkeypatch):
    assert run("--slot", "medical").code == 0
    first = Lock.load(root / "medical.lock.json").revision
    files = {path.name: path.read_bytes() for path in medical_folder.iterdir()}
    second = hub.publish(MEDICAL, {**files, "generation_config.json": b'{"new": 1}'})
    (root / "medical" / "model-layer0.safetensors").unlink()
    assert run("--slot", "medical").code == 0
    assert Lock.load(root / "medical.lock.json").revision == first
    # the lock file alone brings the same bytes elsewhere
    shutil.copytree(root, root.with_name("elsewhere"), ignore=shutil.ignore_patterns("medical"))
    assert main(["--output", str(root.with_name("elsewhere")), "--slot", "medical"]) == 0
    copied = root.with_name("elsewhere") / "medical" / "generation_config.json"
    assert copied.read_bytes() == files["generation_config.json"]
    monkeypatch.setenv("MEDICAL_REVISION", "main")
    hub.requests.clear()
    assert run("--slot", "medical").code == 0
    assert Lock.load(root / "medical.lock.json").revision == second
    assert hub.transfers() == ["generation_config.json"]
    monkeypatch.setenv("MEDICAL_REVISION", "0" * 40)
    assert f"has no revision {'0' * 40}" in refused("--slot", "medical")


def test_a_pinned_repository_is_taken_at_its_pin(hub, run, root):
    pinned = json.loads(download.PINS.read_bytes())[OMNI]
    newer = hub.publish(OMNI, {"README.md": b"nothing left"})
    assert run("--slot", "omni").code == 0
    assert Lock.load(root / "omni.lock.json").revision == pinned != newer


def test_the_projects_pins_are_commits_of_the_default_repositories():
    pins = json.loads((ROOT / "app" / "conversion" / "download_pins.json").read_bytes())
    assert {"Qwen/Qwen2.5-Omni-7B", "Qwen/Qwen2.5-Omni-3B"} == pins.keys()
    assert all(len(commit) == 40 and int(commit, 16) for commit in pins.values())


def test_other_hashes_for_the_same_commit_are_refused(hub, run, refused, root):
    assert run("--slot", "medical", "--layers", "1").code == 0
    commit = Lock.load(root / "medical.lock.json").revision
    held = hub.repos[MEDICAL].commits[commit]
    held["config.json"] = type(held["config.json"])("config.json", held["config.json"].data + b" ")
    before = (root / "medical.lock.json").read_bytes()
    assert "another hash for config.json" in refused("--slot", "medical", "--layers", "all")
    assert (root / "medical.lock.json").read_bytes() == before


def test_another_repository_replaces_the_one_before(hub, run, root, medical_folder):
    assert run("--slot", "medical").code == 0
    (root / "medical" / "notes.txt").write_text("mine")
    files = {path.name: path.read_bytes() for path in medical_folder.iterdir()}
    files.pop("special_tokens_map.json")
    hub.publish("clinic/other", {**files, "generation_config.json": b"{}"})
    assert run("--medical", "clinic/other", "--slot", "medical", "--layers", "1").code == 0
    assert "special_tokens_map.json" not in names(root / "medical")
    assert "model-layer3.safetensors" not in names(root / "medical")
    assert (root / "medical" / "notes.txt").read_text() == "mine"
    # and stays, layers too, where nothing else is named
    hub.requests.clear()
    assert run("--slot", "medical").code == 0
    assert hub.requests == []
    assert Lock.load(root / "medical.lock.json").repo == "clinic/other"


# --------------------------------------------------------------------------- which bytes
def test_nothing_is_asked_for_twice(hub, run, root):
    assert run().code == 0
    hub.requests.clear()
    hub.pages_only = True
    again = run()
    assert again.code == 0
    assert hub.requests == []
    assert "fetching" not in again.out


def test_a_broken_connection_is_taken_up_where_it_broke(hub, run, root, medical_folder, monkeypatch):
    monkeypatch.setattr("app.conversion.download_hub.PAUSE_S", 0.0)
    monkeypatch.setattr("app.conversion.download_hub.CHUNK_BYTES", 1000)
    name = "model-layer0.safetensors"
    hub.cut_after[name] = [70_500, 90_500]
    assert run("--slot", "medical").code == 0
    assert (root / "medical" / name).read_bytes() == (medical_folder / name).read_bytes()
    assert hub.ranges(name) == ["bytes=70000-", "bytes=160000-"]


def test_a_connection_that_brings_nothing_ends(hub, run, refused, root, monkeypatch):
    monkeypatch.setattr("app.conversion.download_hub.PAUSE_S", 0.0)
    hub.cut_after["model-layer0.safetensors"] = [0] * 20
    assert "no connection to 127.0.0.1" in refused("--slot", "medical")
    assert len(hub.cut_after["model-layer0.safetensors"]) == 16
    hub.cut_after.clear()
    assert run("--slot", "medical").code == 0


def test_wrong_bytes_are_fetched_once_more_and_never_kept(hub, run, refused, root, medical_folder):
    name = "model-layer0.safetensors"
    size = (medical_folder / name).stat().st_size
    hub.instead[name] = [b"x" * size]
    once = run("--slot", "medical")
    assert once.code == 0
    assert f"medical/{name}: damaged, fetched again" in once.out
    (root / "medical" / name).unlink()
    hub.instead[name] = [b"x" * size, b"y" * size]
    assert f"{name} came twice with another hash" in refused("--slot", "medical")
    assert name not in names(root / "medical")


def test_a_damaged_unfinished_file_does_no_harm(hub, run, root, medical_folder):
    """Bytes that a power cut left in the hub client's own unfinished file."""
    assert run("--slot", "medical").code == 0
    name = "model-layer0.safetensors"
    whole = (medical_folder / name).read_bytes()
    digest = Lock.load(root / "medical.lock.json").files[name].digest
    note = next((root / "medical" / ".cache").rglob(f"{name}.metadata"))
    for wreck in (bytes(1000), whole + b"more", whole[:5000]):
        (root / "medical" / name).unlink()
        # the client names it after the note's own name; the kill test of the script sees it do so
        part = note.with_name(f"{huggingface_hub._local_folder._short_hash(note.name)}.{digest}.incomplete")
        part.write_bytes(wreck)
        assert run("--slot", "medical").code == 0
        assert (root / "medical" / name).read_bytes() == whole
    assert hub.ranges(name) == ["bytes=1000-", "bytes=5000-"]


def test_no_token_goes_to_the_host_of_the_large_files(hub, run):
    assert run("--slot", "medical", "--layers", "1").code == 0
    by_path = {path: headers for _, path, headers in hub.requests}
    large = [headers for path, headers in by_path.items() if "/large/" in path]
    assert large
    assert all("authorization" not in headers for headers in large)
    assert all("authorization" in headers for path, headers in by_path.items() if "/large/" not in path)


# --------------------------------------------------------------------------- which state
def test_check_says_what_is_there(hub, run, root):
    never = run("--check")
    assert (never.code, never.out) == (1, "omni: not downloaded\nmedical: not downloaded\n")
    assert run("--slot", "medical", "--layers", "1").code == 0
    hub.requests.clear()
    whole = run("--check", "--slot", "medical")
    assert whole.code == 0
    assert f"medical: {MEDICAL} at {Lock.load(root / 'medical.lock.json').revision}, the first 1 layers" in whole.out
    assert "8 of 8 files are whole" in whole.out
    folder = root / "medical"
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").unlink()
    shard = folder / "model-layer0.safetensors"
    digest = Lock.load(root / "medical.lock.json").files[shard.name].digest
    (folder / f".cache/huggingface/download/any.{digest}.incomplete").write_bytes(shard.read_bytes()[:100_000])
    shard.unlink()
    broken = run("--check", "--slot", "medical")
    assert broken.code == 1
    assert "  damaged  config.json" in broken.out
    assert "  missing  tokenizer.json" in broken.out
    assert "  partial  model-layer0.safetensors  100.0 kB of " in broken.out
    assert "5 of 8 files are whole" in broken.out
    assert hub.requests == []
    assert run("--slot", "medical").code == 0
    assert run("--check", "--slot", "medical").code == 0


def test_check_hashes_again_only_when_told(hub, run, root):
    """A byte that changed under an unchanged size, time and inode: what a failing disk does."""
    assert run("--slot", "medical", "--layers", "1").code == 0
    shard = root / "medical" / "model-layer0.safetensors"
    stat = shard.stat()
    with shard.open("r+b") as handle:
        handle.seek(1000)
        handle.write(b"\xff\xfe")
    os.utime(shard, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert run("--check", "--slot", "medical").code == 0
    full = run("--check", "--full", "--slot", "medical")
    assert full.code == 1
    assert f"  damaged  {shard.name}" in full.out
    assert run("--check", "--slot", "medical").code == 1
    assert run("--slot", "medical").code == 0
    assert run("--check", "--full", "--slot", "medical").code == 0


def test_check_of_copied_files_hashes_them_once(hub, run, root, monkeypatch):
    assert run("--slot", "medical", "--layers", "1").code == 0
    shutil.copytree(root / "medical", root / "copy")
    shutil.rmtree(root / "medical")
    (root / "copy").rename(root / "medical")
    assert run("--check", "--slot", "medical").code == 0

    def never(*_: object) -> None:
        raise AssertionError("hashed again")

    monkeypatch.setattr("app.conversion.download_lock.LockedFile.verify", never)
    assert run("--check", "--slot", "medical").code == 0


def test_check_of_something_else_than_what_is_here(hub, run):
    assert run("--slot", "medical", "--layers", "1").code == 0
    other = run("--check", "--slot", "medical", "--layers", "2")
    assert (other.code, other.out) == (1, f"medical: {MEDICAL} was not downloaded in this form\n")


def test_only_one_download_at_a_time(hub, run, refused, root):
    assert run("--slot", "medical", "--layers", "1").code == 0
    with exclusive(root):
        assert f"another download is running in {root}" in refused("--slot", "medical")
        checked = run("--check", "--slot", "medical")
    assert checked.code == 0
    assert f"a download is running in {root} now" in checked.out


def test_the_disk_is_asked_before_any_weight(hub, run, refused, root, monkeypatch):
    asked = []

    def usage(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=free)

    free = 1 << 20
    monkeypatch.setattr("app.conversion.download.shutil.disk_usage", usage)
    message = refused()
    assert "not enough room on the disk: " in message
    assert "1.0 MB are free" in message
    assert not [name for name in hub.transfers() if name.endswith(".safetensors")]
    free = 1 << 30
    assert run().code == 0
    free = 0  # nothing is needed any more
    assert run().code == 0
    assert root in asked


def test_a_damaged_lock_file_is_one_line(hub, run, refused, root):
    assert run("--slot", "medical", "--layers", "1").code == 0
    path = root / "medical.lock.json"
    lock = json.loads(path.read_bytes())
    lock["files"]["../outside"] = lock["files"]["config.json"]
    for content in (json.dumps(lock), "{"):
        path.write_text(content)
        assert f"{path} is damaged" in refused("--slot", "medical")
        assert f"{path} is damaged" in refused("--check", "--slot", "medical")


def test_the_next_step_is_a_command_that_converts(hub, run, monkeypatch):
    spec = importlib.util.spec_from_file_location("optimize_models", ROOT / "scripts" / "optimize_models.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    lines = [line for line in run("--layers", "2").out.splitlines() if line.startswith("next: ")]
    assert len(lines) == 2
    for line in lines:
        command, *arguments = line.removeprefix("next: ").split()
        assert (ROOT / command).is_file()
        options = script._parser().parse_args(arguments)
        assert options.cut_layer == 2
        assert len(options.source_revision) == 40


@pytest.mark.parametrize("value", ["0", "-1", "two"])
def test_layers_are_counted_from_one(run, value, capsys):
    with pytest.raises(SystemExit, match="2"):
        run("--layers", value)
    assert "a number from 1, or: all" in capsys.readouterr().err


def test_more_layers_than_there_are_is_one_line(hub, refused):
    assert "9 layers cannot be had: the model has 4" in refused("--slot", "medical", "--layers", "9")
