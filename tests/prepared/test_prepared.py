"""Prepared folders: the same bits, mapped weights, one stamp, and every way in which making one can go wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from app.conversion import ConversionRequest, NoProgress, convert
from app.domain import Case
from app.encoders.manifest import Manifest, file_sha256
from app.encoders.medical import MedicalEncoder
from app.encoders.omni import OmniEncoder
from app.encoders.warm_up import warm_up_case
from app.errors import ArtifactError
from app.prepared import builder
from app.prepared import folder as folder_module
from app.prepared.builder import prepare
from app.prepared.folder import PreparedFolder
from app.prepared.stamp import STAMP_NAME, Identity, Stamp, processor_digest
from tests.checkpoints import write_llama, write_omni

CASE = Case(language="en", text="I have had chest pain since this morning.")
ROOT = Path(__file__).parents[2]


def no_report(share):
    assert 0 <= share <= 1


def converted(tmp_path_factory, name, write, quantization):
    root = tmp_path_factory.mktemp(name)
    checkpoint = write(root / "checkpoint")
    request = ConversionRequest(checkpoint, root / name, quantization, "tests", "0", prompt_prefix="Patient:\n")
    convert(request, NoProgress())
    return root / name


@pytest.fixture(scope="session")
def medical(tmp_path_factory):
    return converted(tmp_path_factory, "medical", write_llama, "int8")


@pytest.fixture(scope="session")
def omni(tmp_path_factory):
    return converted(tmp_path_factory, "omni", write_omni, "int4")


@pytest.fixture(scope="session")
def ready(medical, tmp_path_factory):
    """(root, prepared folder); copy it before changing it."""
    root = tmp_path_factory.mktemp("prepared")
    return root, prepare(medical, Manifest.load(medical), root, no_report)


def hashes(folder):
    return {path.name: file_sha256(path) for path in sorted(folder.glob("*.onnx*"))}


def copy_of(ready, tmp_path):
    root = shutil.copytree(ready[0], tmp_path / "root")
    return root, root / ready[1].name


# ---------------------------------------------------------------------------- what it is for
def test_the_medical_encoder_gives_the_same_bits(medical, ready):
    raw = MedicalEncoder.load(medical, threads=1)
    mapped = MedicalEncoder.load(medical, threads=1, open_session=PreparedFolder(ready[1], True).open_session)
    assert np.array_equal(raw.encode(CASE)[0].vector, mapped.encode(CASE)[0].vector)


def test_the_omni_encoder_gives_the_same_bits_for_every_medium(omni, tmp_path):
    place = prepare(omni, Manifest.load(omni), tmp_path, no_report)
    assert sorted(hashes(place)) == sorted(
        f"{name}.onnx{data}" for name in ("decoder", "vision", "audio") for data in ("", ".data")
    )
    raw = OmniEncoder.load(omni, threads=1)
    mapped = OmniEncoder.load(omni, threads=1, open_session=PreparedFolder(place, True).open_session)
    case = warm_up_case()
    for one, two in zip(raw.encode(case), mapped.encode(case), strict=True):
        assert one.source == two.source
        assert np.array_equal(one.vector, two.vector)


def test_another_depth_is_another_folder(medical, ready, tmp_path):
    root, whole = copy_of(ready, tmp_path)
    shallow = prepare(medical, Manifest.load(medical).cut(1), root, no_report)
    assert shallow != whole
    assert whole.is_dir()
    encoder = MedicalEncoder.load(
        medical, threads=1, cut_layer=1, open_session=PreparedFolder(shallow, True).open_session
    )
    raw = MedicalEncoder.load(medical, threads=1, cut_layer=1)
    assert np.array_equal(raw.encode(CASE)[0].vector, encoder.encode(CASE)[0].vector)
    assert (shallow / "decoder.onnx.data").stat().st_size < (whole / "decoder.onnx.data").stat().st_size


def test_it_is_made_once(medical, ready, monkeypatch):
    monkeypatch.setattr(builder, "_prepare_graphs", lambda *_: pytest.fail("prepared again"))
    assert prepare(medical, Manifest.load(medical), ready[0], no_report) == ready[1]


def test_the_bytes_are_the_same_every_time(medical, ready, tmp_path):
    assert hashes(prepare(medical, Manifest.load(medical), tmp_path, no_report)) == hashes(ready[1])


def test_serving_it_needs_neither_torch_nor_transformers(medical, ready):
    code = f"""
import sys
from pathlib import Path
from app.domain import Case
from app.encoders.medical import MedicalEncoder
from app.prepared.folder import PreparedFolder
folder = PreparedFolder(Path({str(ready[1])!r}), True)
encoder = MedicalEncoder.load(Path({str(medical)!r}), threads=1, open_session=folder.open_session)
encoder.encode(Case(language="en", text="pain"))
heavy = {{name.split(".")[0] for name in sys.modules}} & {{"torch", "transformers", "scipy"}}
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# ---------------------------------------------------------------------------- when it is made anew
@pytest.mark.parametrize("what", ["onnxruntime", "processor", "format"])
def test_another_host_gets_its_own_and_the_old_one_goes(medical, ready, tmp_path, monkeypatch, what):
    root, old = copy_of(ready, tmp_path)
    identity = Identity.of(Manifest.load(medical)).model_copy(update={what: "another"})
    monkeypatch.setattr(Identity, "of", lambda _manifest: identity)
    new = prepare(medical, Manifest.load(medical), root, no_report)
    assert new != old
    assert not old.exists()
    assert hashes(new) == hashes(ready[1])


@pytest.mark.parametrize("damage", ["truncated", "changed", "missing", "no stamp", "stamp cut short"])
def test_a_damaged_one_is_made_anew(medical, ready, tmp_path, damage):
    root, place = copy_of(ready, tmp_path)
    data, stamp = place / "decoder.onnx.data", place / STAMP_NAME
    if damage == "truncated":
        os.truncate(data, data.stat().st_size // 2)
    elif damage == "changed":
        data.write_bytes(bytes(data.stat().st_size))
    elif damage == "missing":
        data.unlink()
    elif damage == "no stamp":
        stamp.unlink()
    else:
        os.truncate(stamp, 40)
    assert prepare(medical, Manifest.load(medical), root, no_report) == place
    assert hashes(place) == hashes(ready[1])


def test_a_copied_one_with_other_times_is_kept(medical, ready, tmp_path, monkeypatch):
    root, place = copy_of(ready, tmp_path)
    os.utime(place / "decoder.onnx.data", (1, 1))
    monkeypatch.setattr(builder, "_prepare_graphs", lambda *_: pytest.fail("prepared again"))
    assert prepare(medical, Manifest.load(medical), root, no_report) == place


def test_the_stamp_names_its_origin(medical, ready):
    stamp = Stamp.read(ready[1])
    assert stamp.source == str(medical)
    assert stamp.cut_layer == Manifest.load(medical).decoder.cut_layer
    assert set(stamp.files) == {"decoder.onnx", "decoder.onnx.data"}
    assert {path.name for path in ready[1].iterdir()} == {*stamp.files, STAMP_NAME}


def test_processor_digest_depends_on_the_instruction_sets(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nflags\t\t: avx2 fma\nprocessor : 1\nflags : avx2 fma\n")
    one = processor_digest(info)
    info.write_text("processor : 0\nflags\t\t: fma avx2\n")
    assert processor_digest(info) == one, "their order says nothing"
    info.write_text("processor : 0\nflags\t\t: avx2 fma avx512_vnni\n")
    assert processor_digest(info) != one
    assert processor_digest(tmp_path / "absent") != one


# ---------------------------------------------------------------------------- the converted folder
@pytest.mark.parametrize("prepared_before", [True, False])
@pytest.mark.parametrize("name", ["tokenizer.json", "token_embedding.npy", "decoder.onnx.data"])
def test_a_damaged_converted_folder_is_refused(medical, ready, tmp_path, name, prepared_before):
    source = shutil.copytree(medical, tmp_path / "medical")
    root = tmp_path / "root"
    if prepared_before:
        prepare(source, Manifest.load(source), root, no_report)
    with (source / name).open("r+b") as handle:
        handle.seek(-1, os.SEEK_END)
        last = handle.read(1)
        handle.seek(-1, os.SEEK_END)
        handle.write(bytes([last[0] ^ 1]))
    with pytest.raises(ArtifactError) as caught:
        prepare(source, Manifest.load(source), root, no_report)
    assert caught.value.code == "model_file_damaged"
    assert caught.value.params["file"] == name


def test_large_files_are_not_read_again_at_every_start(medical, ready, tmp_path, monkeypatch):
    monkeypatch.setattr(builder, "_SMALL_BYTES", 0)
    read = []
    monkeypatch.setattr("app.prepared.stamp.file_sha256", lambda path: read.append(path) or file_sha256(path))
    prepare(medical, Manifest.load(medical), ready[0], no_report)
    assert read == []


# ---------------------------------------------------------------------------- failures
def test_a_disk_without_room_is_said_with_figures(medical, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(builder.shutil, "disk_usage", lambda _path: usage)
    monkeypatch.setattr(builder, "expected_bytes", lambda *_: 10 << 20)
    with pytest.raises(ArtifactError) as caught:
        prepare(medical, Manifest.load(medical), tmp_path / "root", no_report)
    assert caught.value.code == "prepared_disk_full"
    assert (caught.value.params["needed_mib"], caught.value.params["free_mib"]) == (10, 1)


def test_a_root_that_cannot_be_written_is_said(medical, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="prepared_not_writable"):
        prepare(medical, Manifest.load(medical), tmp_path / "file" / "root", no_report)


def test_a_worker_that_dies_is_said_and_leaves_nothing_that_loads(medical, tmp_path, monkeypatch):
    monkeypatch.setattr(builder.sys, "executable", shutil.which("false"))
    with pytest.raises(ArtifactError) as caught:
        prepare(medical, Manifest.load(medical), tmp_path, no_report)
    assert caught.value.code == "preparation_failed"
    assert "exit status 1" in str(caught.value)
    assert not any(tmp_path.glob("*/prepared.json"))


def test_what_the_report_raises_stops_the_worker(omni, tmp_path, monkeypatch):
    class StopError(Exception):
        pass

    def report(_share):
        raise StopError

    monkeypatch.setattr(builder, "_POLL_S", 0.05)
    with pytest.raises(StopError):
        prepare(omni, Manifest.load(omni), tmp_path, report)
    assert not any(tmp_path.glob("*/prepared.json"))
    assert prepare(omni, Manifest.load(omni), tmp_path, no_report).is_dir()


def test_a_killed_run_is_gone_on_with_and_gives_the_same_bytes(omni, tmp_path):
    whole = prepare(omni, Manifest.load(omni), tmp_path / "whole", no_report)
    code = f"""
from pathlib import Path
from app.encoders.manifest import Manifest
from app.prepared.builder import prepare
source = Path({str(omni)!r})
prepare(source, Manifest.load(source), Path({str(tmp_path / "killed")!r}), lambda share: None)
"""
    for delay in (0.4, 1.2, 2.0, 2.8):
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True)
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    place = prepare(omni, Manifest.load(omni), tmp_path / "killed", no_report)
    assert place.name == whole.name
    assert hashes(place) == hashes(whole)
    assert [path.name for path in (tmp_path / "killed").glob(".*.partial")] == []


def test_graphs_that_are_finished_are_not_made_again(omni, tmp_path, monkeypatch):
    made = []
    real = builder._run_worker

    def failing_at_audio(converted_folder, partial, graph, cut_layer, measure):
        made.append(graph.file)
        if graph.file == "audio.onnx" and made.count("audio.onnx") == 1:
            raise ArtifactError("preparation_failed", file=graph.file, reason="test")
        real(converted_folder, partial, graph, cut_layer, measure)

    monkeypatch.setattr(builder, "_run_worker", failing_at_audio)
    with pytest.raises(ArtifactError):
        prepare(omni, Manifest.load(omni), tmp_path, no_report)
    prepare(omni, Manifest.load(omni), tmp_path, no_report)
    assert made == ["decoder.onnx", "vision.onnx", "audio.onnx", "audio.onnx"]


def test_two_at_once_take_turns(medical, tmp_path):
    code = f"""
from pathlib import Path
from app.encoders.manifest import Manifest
from app.prepared.builder import prepare
source = Path({str(medical)!r})
print(prepare(source, Manifest.load(source), Path({str(tmp_path)!r}), lambda share: None))
"""
    both = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(2)]
    places = {process.communicate()[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(places) == 1


# ---------------------------------------------------------------------------- on the heap
def heap_grows(monkeypatch, grown):
    values = iter([0, grown])
    monkeypatch.setattr(folder_module, "anonymous_bytes", lambda: next(values))


def test_weights_on_the_heap_are_refused_in_strict_mode(medical, ready, monkeypatch):
    heap_grows(monkeypatch, 200 << 20)
    with pytest.raises(ArtifactError) as caught:
        MedicalEncoder.load(medical, threads=1, open_session=PreparedFolder(ready[1], True).open_session)
    assert caught.value.code == "weights_on_heap"
    assert caught.value.params["heap_mib"] == 200


def test_and_reported_otherwise(medical, ready, monkeypatch):
    place = PreparedFolder(ready[1], False)
    heap_grows(monkeypatch, 200 << 20)
    MedicalEncoder.load(medical, threads=1, open_session=place.open_session)
    assert place.heap_bytes == {"decoder.onnx": 200 << 20}


def test_mapped_weights_are_not_on_the_heap(medical, ready):
    place = PreparedFolder(ready[1], False)
    MedicalEncoder.load(medical, threads=1, open_session=place.open_session)
    assert place.heap_bytes == {}


def test_the_stamp_is_json_that_people_can_read(ready):
    content = json.loads((ready[1] / STAMP_NAME).read_text())
    assert set(content) == {"identity", "source", "cut_layer", "sources", "files"}
