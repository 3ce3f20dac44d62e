"""Download the full pair's checkpoints, or say what is there. Run it as scripts/download_models.sh.

Fetches, into models/full/downloads/{omni,medical}, only what the conversion reads: no talker, no voice, no output head.
A run that was stopped, killed included, goes on where it stopped.

Revisions: one commit, always. --omni-revision or OMNI_REVISION (--medical-revision or MEDICAL_REVISION) names it;
else it is the one in <slot>.lock.json beside the folders; else the project's pin (app/conversion/download_pins.json);
else, for a repository without a pin, as MMed-Llama-3-8B-EnIns is, the newest commit of its main branch. The first run
writes that commit, and size and hash of every file as the hub publishes them, into the lock file; every later run takes
these bytes and no others. Copy the lock file to another machine to get the same there. To move to the newest commit,
say --omni-revision main. Repository and layers, too, stay as in the lock file where no option names others.

Environment: HF_ENDPOINT a mirror of the hub; HF_TOKEN a token for gated repositories (it is sent to HF_ENDPOINT, and
never printed); HF_HOME, HTTPS_PROXY and so on as huggingface_hub and requests read them. Messages are in Korean where
LANG begins with ko. Exit status: 0 everything is there, 1 it is not, 2 wrong options, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from app.conversion.download import DEFAULT_REPOS, Wish, check_space, complete, prepare
from app.conversion.download_hub import Hub
from app.conversion.download_lock import Lock, State, bytes_here, exclusive, state_of
from app.conversion.download_messages import Language, error_line, language_of, text
from app.conversion.request import Slot
from app.errors import ArtifactError

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "models" / "full"
EVENTS = {"fetching": "fetching", "whole": "fetched", "damaged": "refetching"}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    language = language_of(os.environ)
    wishes = [_wish(options, slot) for slot in get_args(Slot) if options.slot in {None, slot}]
    try:
        if options.check:
            return _check(options.output, wishes, language, rehash=options.full)
        return _download(options.output, wishes, language)
    except ArtifactError as error:
        _complain(error_line(language, error))
    except OSError as error:
        detail = f"{error.strerror}: {error.filename or ''}"
        _complain(error_line(language, ArtifactError("system", detail=detail)))
    except KeyboardInterrupt:
        _complain(text(language, "interrupted"))
        return 130
    return 1


def _download(root: Path, wishes: Sequence[Wish], language: Language) -> int:
    hub = Hub(os.environ.get("HF_ENDPOINT") or None, progress=sys.stderr.isatty())
    with exclusive(root):
        locks = [prepare(hub, wish, _Narrator(wish.slot, None, language)) for wish in wishes]
        needed, here, free = check_space(root, [(wish.folder, lock) for wish, lock in zip(wishes, locks, strict=True)])
        _say(text(language, "space", needed=needed, here=here, free=free))
        for wish, lock in zip(wishes, locks, strict=True):
            _say(_title(wish.slot, lock, language))
            complete(hub, wish, lock, _Narrator(wish.slot, lock, language))
    for wish, lock in zip(wishes, locks, strict=True):
        _say(text(language, "next", command=_conversion(wish, lock)))
    return 0


def _check(root: Path, wishes: Sequence[Wish], language: Language, *, rehash: bool) -> int:
    """Says what is there; asks nobody. What it hashed is kept in the lock file, unless a download is writing that."""
    results = [_check_slot(wish, language, rehash=rehash) for wish in wishes]
    if any(lock is not None for _, lock in results):
        try:
            with exclusive(root):
                for wish, (_, lock) in zip(wishes, results, strict=True):
                    if lock is not None and lock != wish.lock and Lock.load(wish.lock_path) == wish.lock:
                        lock.save(wish.lock_path)
        except ArtifactError:
            _say(text(language, "being_written", folder=str(root)))
    return 0 if all(whole for whole, _ in results) else 1


def _check_slot(wish: Wish, language: Language, *, rehash: bool) -> tuple[bool, Lock | None]:
    lock = wish.answer()
    if lock is None:
        code = "never" if wish.lock is None else "never_this"
        _say(text(language, code, slot=wish.slot, repo=wish.wanted_repo))
        return False, None
    _say(_title(wish.slot, lock, language))
    whole = 0
    for name, file in lock.files.items():
        state, checked = state_of(wish.folder, name, file, rehash=rehash)
        lock = lock.with_file(name, checked)
        whole += state == "whole"
        here = bytes_here(wish.folder, name, file)
        _say(_state_line(state, name, file.size, here, language))
    _say(text(language, "sum", slot=wish.slot, whole=whole, files=len(lock.files)))
    return whole == len(lock.files), lock


def _state_line(state: State, name: str, size: int, here: int, language: Language) -> str:
    code = "state_partial_line" if state == "partial" else "state_line"
    return text(language, code, state=text(language, f"state_{state}"), file=name, size=size, here=here)


def _title(slot: Slot, lock: Lock, language: Language) -> str:
    layers = text(language, "first_layers", layers=lock.layers) if lock.layers else text(language, "all_layers")
    return text(language, "title", slot=slot, repo=lock.repo, revision=lock.revision, layers=layers)


class _Narrator:
    """Says on standard output what happens to each file."""

    def __init__(self, slot: Slot, lock: Lock | None, language: Language) -> None:
        self._slot, self._lock, self._language = slot, lock, language

    def __call__(self, name: str, event: str) -> None:
        size = self._lock.files[name].size if self._lock else ""
        line = text(self._language, EVENTS[event], slot=self._slot, file=name, size=size)
        _say(line.rstrip())


def _conversion(wish: Wish, lock: Lock) -> str:
    cut = f" --cut-layer {lock.layers}" if lock.layers else ""
    return (
        f"scripts/optimize_models.py --slot {wish.slot} --checkpoint {wish.folder} --output {MODELS / wish.slot}{cut}"
        f" --source {lock.repo} --source-revision {lock.revision}"
    )


def _wish(options: argparse.Namespace, slot: Slot) -> Wish:
    named = vars(options)
    revision = named[f"{slot}_revision"] or os.environ.get(f"{slot.upper()}_REVISION") or None
    layers = named[f"{slot}_layers"] or options.layers
    return Wish(root=options.output, slot=slot, repo=named[slot], revision=revision, layers=layers)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/download_models.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for slot in get_args(Slot):
        parser.add_argument(f"--{slot}", metavar="REPO", help=f"repository (default: {DEFAULT_REPOS[slot]})")
        parser.add_argument(f"--{slot}-revision", metavar="REV", help="commit, tag or branch")
        parser.add_argument(f"--{slot}-layers", type=_layers, metavar="K", help="as --layers, for this one")
    parser.add_argument("--layers", type=_layers, metavar="K", help="only what the first K layers need; or: all")
    parser.add_argument("--slot", choices=get_args(Slot), help="only this one of the two")
    parser.add_argument("--output", type=Path, default=MODELS / "downloads", help="default: models/full/downloads")
    parser.add_argument("--check", action="store_true", help="say what is there and stop; needs no connection")
    parser.add_argument("--full", action="store_true", help="with --check: hash every file again")
    return parser


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _layers(value: str) -> int | Literal["all"]:
    if value == "all":
        return "all"
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError("a number from 1, or: all")
    return int(value)


if __name__ == "__main__":
    sys.exit(main())
