"""The model hub through huggingface_hub, and its failures as ArtifactErrors whose messages hold no token and no URL."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from app.conversion.download_lock import LockedFile, partial_files
from app.errors import ArtifactError

SWITCHES = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_ENABLE_HF_TRANSFER": "0",
    "TRANSFORMERS_VERBOSITY": "error",
}
"""Nothing is told to the hub; plain HTTP with resuming, which mirrors speak too; no warnings about configs whose tensor
names alone are asked for. Read when the libraries are imported."""
CHUNK_BYTES = 1 << 20
"""What a broken connection loses at most. The library's own 10 MB would never arrive where connections break sooner."""
TRIES = 4
"""Broken connections in a row that brought nothing new."""
PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A commit and its files."""

    revision: str
    files: dict[str, LockedFile]


class Hub:
    """One endpoint; None is the library's own. The token comes from HF_TOKEN or from `hf auth login`."""

    def __init__(self, endpoint: str | None, *, progress: bool) -> None:
        os.environ.update(SWITCHES if progress else {**SWITCHES, "HF_HUB_DISABLE_PROGRESS_BARS": "1"})
        from huggingface_hub import HfApi, constants

        constants.DOWNLOAD_CHUNK_SIZE = CHUNK_BYTES
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its warnings hold signed addresses
        self._api = HfApi(endpoint=endpoint)
        self.host = urlsplit(self._api.endpoint).hostname or self._api.endpoint

    def snapshot(self, repo: str, revision: str) -> Snapshot:
        """The commit that a branch, tag or commit stands for, with size and hash of every file.

        ArtifactError `download_*` where it cannot be had.
        """
        with self._failures(repo, revision):
            info = self._api.model_info(repo, revision=revision, files_metadata=True)
        if info.sha is None or (_is_commit(revision) and info.sha != revision):
            raise ArtifactError("download_not_the_hub", host=self.host)
        files = {}
        for sibling in info.siblings or []:
            digest = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
            if sibling.size is None or digest is None:
                raise ArtifactError("download_no_hashes", host=self.host, file=sibling.rfilename)
            algorithm = "sha256" if sibling.lfs else "git-sha1"
            files[sibling.rfilename] = LockedFile.model_validate(
                {"size": sibling.size, "algorithm": algorithm, "digest": digest}
            )
        return Snapshot(info.sha, files)

    def fetch(self, repo: str, revision: str, name: str, file: LockedFile, folder: Path) -> None:
        """Download a file that is not in `folder`, going on where an earlier run stopped.

        ArtifactError `download_*` where it does not come; what did come stays for the next run. Checks no hash.
        """
        from requests.exceptions import ChunkedEncodingError

        failures = 0
        while True:
            before = _partial_bytes(folder, file)
            try:
                with self._failures(repo, revision, name, folder, file):
                    self._api.hf_hub_download(repo, name, revision=revision, local_dir=folder)
            except ArtifactError as error:
                # the library goes on by itself after other errors of the connection, but not after this one
                if not isinstance(error.__cause__, ChunkedEncodingError):
                    raise
                failures = 0 if _partial_bytes(folder, file) > before else failures + 1
                if failures == TRIES:
                    raise
                time.sleep(PAUSE_S)
            else:
                return

    @contextmanager
    def _failures(
        self, repo: str, revision: str, name: str = "", folder: Path = Path(), file: LockedFile | None = None
    ) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # all of the library's and of requests' are one or the other
            code = _code(error)
            if code == "download_truncated" and file is not None and drop_web_page(folder, file):
                code = "download_not_the_hub"
            raise ArtifactError(
                code, repo=repo, revision=revision, file=name, host=self.host, detail=_detail(error)
            ) from error


def drop_web_page(folder: Path, file: LockedFile) -> bool:
    """Whether an unfinished file begins as a web page, which a proxy sent in its place; removes it then."""
    pages = [part for part in partial_files(folder, file) if is_web_page(part)]
    for part in pages:
        part.unlink()
    return bool(pages)


def is_web_page(path: Path) -> bool:
    with path.open("rb") as handle:
        start = handle.read(256).lstrip().lower()
    return start.startswith((b"<!doctype", b"<html"))


def _code(error: Exception) -> str:
    """The special classes before the general ones that they come from."""
    from huggingface_hub import errors
    from requests import exceptions

    if isinstance(error, errors.LocalEntryNotFoundError):  # wraps what the request for the file's head met
        return _code(error.__cause__) if isinstance(error.__cause__, Exception) else "download_no_network"
    by_class: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
        (errors.GatedRepoError, "download_gated"),
        (errors.RepositoryNotFoundError, "download_repo_missing"),
        (errors.RevisionNotFoundError, "download_revision_missing"),
        (errors.EntryNotFoundError, "download_file_missing"),
        ((errors.FileMetadataError, exceptions.JSONDecodeError), "download_not_the_hub"),
        (errors.HFValidationError, "download_repo_invalid"),
        (errors.OfflineModeIsEnabled, "download_offline"),
        (exceptions.SSLError, "download_no_trust"),
        ((exceptions.InvalidSchema, exceptions.MissingSchema, exceptions.InvalidURL), "download_endpoint_invalid"),
    )
    for kind, code in by_class:
        if isinstance(error, kind):
            return code
    if isinstance(error, exceptions.HTTPError):
        return _code_of_status(_status(error))
    if isinstance(error, exceptions.RequestException):
        return "download_no_network"
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "download_disk_full_during"
    # the library's own check of the length is an OSError without a number
    return "download_truncated" if isinstance(error, OSError) and error.errno is None else "download_failed"


def _code_of_status(status: int) -> str:
    return {401: "download_token_refused", 403: "download_gated"}.get(status, "download_http_status")


def _status(error: object) -> int:
    response = getattr(error, "response", None)
    return int(getattr(response, "status_code", 0))


def _detail(error: Exception) -> str:
    """A status or the system's own words, never the library's text: it holds addresses."""
    if status := _status(error):
        return f"HTTP {status}"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _is_commit(revision: str) -> bool:
    return len(revision) == 40 and set(revision) <= set("0123456789abcdef")


def _partial_bytes(folder: Path, file: LockedFile) -> int:
    return sum(part.stat().st_size for part in partial_files(folder, file))
