"""Makes a prepared folder, or finds the one that was made before.

Each graph is prepared by a process of its own (`worker`) into a hidden sibling and recorded when it is whole, so that a
run that was killed is gone on with; the folder appears by rename, its stamp inside. Two processes that want the same
folder take turns.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from app.encoders.manifest import Manifest
from app.encoders.session import GraphSpec, served_graphs
from app.errors import ArtifactError
from app.prepared.stamp import STAMP_NAME, FileState, GraphRecord, Identity, Stamp

PREPARATION_FAILURES = frozenset({"prepared_disk_full", "prepared_not_writable", "preparation_failed"})
"""Codes that say nothing against the converted folder itself."""
OnProgress = Callable[[float], None]
"""Told the share that is done, about twice a second; what it raises stops the work."""

_POLL_S = 0.5
_SLACK = 1.05
_REASON_CHARS = 300
_SMALL_BYTES = 64 * 1024 * 1024
"""Files up to here are hashed at every start; larger ones only if size or time have changed."""
_PROJECT = Path(__file__).resolve().parents[2]


def prepare(converted: Path, manifest: Manifest, root: Path, on_progress: OnProgress) -> Path:
    """The prepared folder of a converted one, as `manifest` cuts it; made if there is none for this host.

    Verifies the converted folder against the manifest first: every byte when preparing, later only files that are small
    or were touched. ArtifactError: what `Manifest.verify` raises, `prepared_disk_full`, `prepared_not_writable`,
    `preparation_failed`.
    """
    converted, identity = converted.absolute(), Identity.of(manifest)
    target = root.absolute() / f"{converted.name}-{identity.key}"
    with _turn(target, on_progress):
        stamp = Stamp.read(target)
        if stamp is not None and stamp.describes(target, identity):
            _verify_again(converted, manifest, stamp)
            return target
        sources = _verify(converted, manifest)
        _check_space(converted, manifest, target)
        partial = target.with_name(f".{target.name}.partial")
        try:
            files = _prepare_graphs(converted, manifest, partial, on_progress)
            stamp = Stamp(
                identity=identity,
                source=str(converted),
                cut_layer=manifest.decoder.cut_layer,
                sources=sources,
                files=files,
            )
            _put_in_place(stamp, partial, target)
        except OSError as error:
            raise ArtifactError("prepared_not_writable", folder=str(root), reason=error.strerror or "?") from error
        _remove_outdated(stamp, target)
    return target


# ---------------------------------------------------------------------------- the converted folder
def _verify(converted: Path, manifest: Manifest) -> dict[str, FileState]:
    manifest.verify(converted)
    return {name: FileState.of(converted / name, sha256) for name, sha256 in manifest.files.items()}


def _verify_again(converted: Path, manifest: Manifest, stamp: Stamp) -> None:
    """What is read from the converted folder still (tokenizer, token embedding) is what it was."""
    for name, sha256 in manifest.files.items():
        path, known = converted / name, stamp.sources[name]
        is_trusted = known.size > _SMALL_BYTES and known.untouched(path)
        if not is_trusted and FileState.of(path).sha256 != sha256:
            raise ArtifactError("model_file_damaged", folder=str(converted), file=name)


def expected_bytes(converted: Path, manifest: Manifest) -> int:
    """An upper estimate of a prepared folder's size: the raw and the packed form of every weight that is served."""
    held = Manifest.load(converted).decoder.cut_layer
    total = 0.0
    for graph in served_graphs(manifest):
        share = manifest.decoder.cut_layer / held if graph.decoder else 1.0
        total += 2 * share * (converted / f"{graph.file}.data").stat().st_size
    return int(total * _SLACK)


def _check_space(converted: Path, manifest: Manifest, target: Path) -> None:
    needed = expected_bytes(converted, manifest)
    partial = target.with_name(f".{target.name}.partial")
    present = sum(path.stat().st_size for path in partial.glob("*")) if partial.is_dir() else 0
    free = shutil.disk_usage(target.parent).free + present
    if free < needed:
        raise ArtifactError(
            "prepared_disk_full", folder=str(target.parent), needed_mib=needed >> 20, free_mib=free >> 20
        )


# ---------------------------------------------------------------------------- the graphs
def _prepare_graphs(
    converted: Path, manifest: Manifest, partial: Path, on_progress: OnProgress
) -> dict[str, FileState]:
    partial.mkdir(parents=True, exist_ok=True)
    total = expected_bytes(converted, manifest)

    def measure() -> None:
        on_progress(min(0.99, sum(path.stat().st_size for path in partial.glob("*")) / total))

    files: dict[str, FileState] = {}
    for graph in served_graphs(manifest):
        done = partial / f"{graph.file}.done"
        states = _finished(partial, done)
        if states is None:
            _run_worker(converted, partial, graph, manifest.decoder.cut_layer, measure)
            names = (graph.file, f"{graph.file}.data")
            states = {name: FileState.of(partial / name) for name in names}
            done.write_text(GraphRecord(files=states).model_dump_json(), encoding="utf-8")
        files |= states
    return files


def _finished(partial: Path, done: Path) -> dict[str, FileState] | None:
    """What an earlier run that was interrupted recorded of a graph, if its files are still that."""
    try:
        record = GraphRecord.model_validate_json(done.read_bytes())
    except (OSError, ValidationError):
        return None
    return record.files if all(state.holds(partial / name) for name, state in record.files.items()) else None


def _run_worker(converted: Path, partial: Path, graph: GraphSpec, cut_layer: int, measure: Callable[[], None]) -> None:
    """ArtifactError with the worker's last line, or its signal, where it fails."""
    command = [sys.executable, "-m", "app.prepared.worker", str(converted), str(partial), graph.file, str(cut_layer)]
    worker = subprocess.Popen(
        command, cwd=_PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        while True:
            try:
                _, errors = worker.communicate(timeout=_POLL_S)
                break
            except subprocess.TimeoutExpired:
                measure()
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.communicate()
    if worker.returncode != 0:
        reason = (errors.strip().splitlines() or [""])[-1] or f"exit status {worker.returncode}"
        raise ArtifactError("preparation_failed", file=graph.file, reason=reason[:_REASON_CHARS])


# ---------------------------------------------------------------------------- the folder
@contextmanager
def _turn(target: Path, on_progress: OnProgress) -> Iterator[None]:
    """Hold the folder's lock; while another process prepares it, wait and report."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(target.with_name(f".{target.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ArtifactError("prepared_not_writable", folder=str(target.parent), reason=error.strerror or "?") from error
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                on_progress(0.0)
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(handle)


def _put_in_place(stamp: Stamp, partial: Path, target: Path) -> None:
    for path in partial.glob("*.done"):
        path.unlink()
    with (partial / STAMP_NAME).open("w", encoding="utf-8") as handle:
        handle.write(stamp.model_dump_json(indent=1))
        handle.flush()
        os.fsync(handle.fileno())
    _sync_folder(partial)
    if target.exists():  # its stamp was found not to hold
        shutil.rmtree(target)
    partial.rename(target)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_outdated(stamp: Stamp, target: Path) -> None:
    """Folders that were made from the same one, at the same depth, for what this host no longer is."""
    for other in target.parent.glob("*/"):
        found = Stamp.read(other)
        if other != target and found and (found.source, found.cut_layer) == (stamp.source, stamp.cut_layer):
            shutil.rmtree(other, ignore_errors=True)
