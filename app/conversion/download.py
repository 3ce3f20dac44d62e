"""Model folders from the hub: one commit, only the files that the conversion reads, each checked against its hash.

The life of a download: `prepare` settles repository, commit and layers, fetches the small files and writes the lock;
`check_space` compares what is still to come with the disk; `complete` fetches file after file, a damaged one anew.
Every step goes on where a killed run stopped, and does nothing where nothing is left to do.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from app.conversion.download_files import small_files, weight_files
from app.conversion.download_hub import Hub, drop_web_page, is_web_page
from app.conversion.download_lock import Lock, LockedFile, bytes_here, partial_files, state_of, sweep
from app.conversion.request import Slot
from app.errors import ArtifactError

PINS = Path(__file__).with_name("download_pins.json")
DEFAULT_REPOS: dict[Slot, str] = {"omni": "Qwen/Qwen2.5-Omni-7B", "medical": "Henrychur/MMed-Llama-3-8B-EnIns"}
DEFAULT_BRANCH = "main"
RESERVE_BYTES = 64 << 20
"""Left free on the disk."""
Say = Callable[[str, str], None]
"""Hears of each file: (name, "fetching" | "whole" | "damaged")."""


@dataclass(frozen=True)
class Wish:
    """What to have in a slot. What is None is taken over from the slot's lock, else it is the default.

    `revision`: a commit, tag or branch. `layers`: the first K, or "all".
    """

    root: Path
    slot: Slot
    repo: str | None = None
    revision: str | None = None
    layers: int | Literal["all"] | None = None

    @property
    def folder(self) -> Path:
        return self.root / self.slot

    @property
    def lock_path(self) -> Path:
        return self.root / f"{self.slot}.lock.json"

    @cached_property
    def lock(self) -> Lock | None:
        """As it was when first asked for. ArtifactError where it is damaged."""
        return Lock.load(self.lock_path)

    @property
    def wanted_repo(self) -> str:
        return self.repo or (self.lock.repo if self.lock else DEFAULT_REPOS[self.slot])

    @property
    def wanted_revision(self) -> str:
        """Named by the caller, else the lock's, else the project's pin, else the default branch as it is now."""
        if self.revision:
            return self.revision
        if self.lock and self.lock.repo == self.wanted_repo:
            return self.lock.revision
        pins: dict[str, str] = json.loads(PINS.read_bytes())
        return pins.get(self.wanted_repo, DEFAULT_BRANCH)

    @property
    def wanted_layers(self) -> int | None:
        if self.layers is None and self.lock and self.lock.repo == self.wanted_repo:
            return self.lock.layers
        return None if self.layers == "all" else self.layers

    def answer(self) -> Lock | None:
        """The lock, if it holds what is wished for."""
        wanted = (self.wanted_repo, self.wanted_revision, self.wanted_layers)
        return self.lock if self.lock and (self.lock.repo, self.lock.revision, self.lock.layers) == wanted else None


def prepare(hub: Hub, wish: Wish, say: Say) -> Lock:
    """Settle which files of which commit are wanted, and write that down. Asks the hub only where no lock answers.

    ArtifactError where the hub does not give them, or gives other hashes than the lock has for the same commit.
    """
    answer = wish.answer()
    if answer is not None:
        return answer
    repo = wish.wanted_repo
    snapshot = hub.snapshot(repo, wish.wanted_revision)
    known = _known_files(wish, repo, snapshot.revision)
    for name in known.keys() & snapshot.files.keys():
        if not known[name].is_same_as(snapshot.files[name]):
            raise ArtifactError("download_changed", repo=repo, revision=snapshot.revision, file=name, host=hub.host)
    files = {name: known.get(name, file) for name, file in snapshot.files.items()}
    wish.folder.mkdir(parents=True, exist_ok=True)
    source = _Source(hub, repo, snapshot.revision, wish.folder, say)
    small = {name: _have(source, name, files[name]) for name in small_files(files, repo)}
    weights = weight_files(files, repo, wish.folder, wish.slot, wish.wanted_layers)
    chosen = {**small, **{name: files[name] for name in weights}}
    lock = Lock(repo=repo, revision=snapshot.revision, layers=wish.wanted_layers, files=dict(sorted(chosen.items())))
    lock.save(wish.lock_path)
    sweep(wish.folder, lock)
    return lock


def check_space(root: Path, slots: Sequence[tuple[Path, Lock]]) -> tuple[int, int, int]:
    """Bytes (needed in all, of these already here, free on the disk). ArtifactError `download_disk_full` with them."""
    files = [(folder, name, file) for folder, lock in slots for name, file in lock.files.items()]
    needed = sum(file.size for _, _, file in files)
    here = sum(bytes_here(*item) for item in files)
    free = shutil.disk_usage(root).free
    if needed > here and needed - here + RESERVE_BYTES > free:
        raise ArtifactError("download_disk_full", needed=needed, here=here, free=free)
    return needed, here, free


def complete(hub: Hub, wish: Wish, lock: Lock, say: Say) -> Lock:
    """Fetch what is missing and what is damaged; the lock says after each file that it was found right."""
    wish.folder.mkdir(parents=True, exist_ok=True)
    source = _Source(hub, lock.repo, lock.revision, wish.folder, say)
    for name, file in lock.files.items():
        verified = _have(source, name, file)
        if verified != file:
            lock = lock.with_file(name, verified)
            lock.save(wish.lock_path)
    return lock


def _known_files(wish: Wish, repo: str, revision: str) -> dict[str, LockedFile]:
    lock = wish.lock
    return lock.files if lock and (lock.repo, lock.revision) == (repo, revision) else {}


@dataclass(frozen=True, slots=True)
class _Source:
    """One commit of one repository, and the folder that it is fetched into."""

    hub: Hub
    repo: str
    revision: str
    folder: Path
    say: Say


def _have(source: _Source, name: str, file: LockedFile) -> LockedFile:
    """See to it that a file is there with the right hash. What came with a wrong one is fetched once more, from its
    beginning: the unfinished part of an earlier run may have been damaged. ArtifactError `download_hash` after that."""
    state, checked = state_of(source.folder, name, file, rehash=False)
    if state == "whole":
        return checked
    path = source.folder / name
    if state == "damaged":
        source.say(name, "damaged")
    for _ in range(2):
        path.unlink(missing_ok=True)
        _drop_unusable(source.folder, file)
        source.say(name, "fetching")
        source.hub.fetch(source.repo, source.revision, name, file, source.folder)
        verified = file.verify(path)
        if verified is not None:
            source.say(name, "whole")
            return verified
        source.say(name, "damaged")
    is_page = is_web_page(path)
    path.unlink()
    if is_page:
        raise ArtifactError("download_not_the_hub", host=source.hub.host)
    raise ArtifactError("download_hash", file=name, repo=source.repo, revision=source.revision)


def _drop_unusable(folder: Path, file: LockedFile) -> None:
    """Unfinished files that cannot become this one: larger than it, or a proxy's web page."""
    for part in partial_files(folder, file):
        if part.stat().st_size > file.size:
            part.unlink()
    drop_web_page(folder, file)
