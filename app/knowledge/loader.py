"""Reads the knowledge files, or refuses them with one line that names the file, the entry and the reason.

data/
  conditions/*.yaml    lists of `Condition`
  findings/*.yaml      lists of `FindingEntry`
  red_flags.yaml       a list of `RedFlagRule`
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import yaml
from pydantic import ValidationError

from app.errors import ArtifactError
from app.knowledge.forms import FormError, expand
from app.knowledge.schema import Condition, FindingEntry, Identifier, Model, RedFlagRule

CODE = "knowledge_invalid"


class _Loader(yaml.CSafeLoader):
    """Safe YAML that refuses a key written twice instead of keeping the last one."""


def _mapping_without_duplicates(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
        seen.add(key)
    mapping: dict[Any, Any] = loader.construct_mapping(node)
    return mapping


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_duplicates)


class _HasId(Protocol):
    @property
    def id(self) -> Identifier: ...


EntryT = TypeVar("EntryT", bound=Model)


@dataclass(frozen=True, slots=True)
class KnowledgeFiles:
    """Validated content of a data folder; entries by id, in file order."""

    conditions: dict[str, Condition]
    findings: dict[str, FindingEntry]
    red_flags: tuple[RedFlagRule, ...]
    version: str


def load_files(folder: Path) -> KnowledgeFiles:
    """Raises ArtifactError(`knowledge_invalid`, file=, entry=, reason=) for the first problem found."""
    finding_files = _yaml_files(folder / "findings")
    condition_files = _yaml_files(folder / "conditions")
    flag_file = folder / "red_flags.yaml"
    findings, finding_origin = _read_all(finding_files, FindingEntry)
    conditions, condition_origin = _read_all(condition_files, Condition)
    flags, flag_origin = _read_all([flag_file], RedFlagRule)
    for finding in findings.values():
        _check_finding(finding, findings, finding_origin[finding.id])
    for condition in conditions.values():
        _check_condition(condition, findings, condition_origin[condition.id])
    for flag in flags.values():
        _check_red_flag(flag, findings, flag_origin[flag.id])
    version = _version([*finding_files, *condition_files, flag_file])
    return KnowledgeFiles(conditions, findings, tuple(flags.values()), version)


def _yaml_files(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise _refusal(folder, "-", "no YAML file in this folder")
    return paths


def _read_all(paths: Sequence[Path], model: type[EntryT]) -> tuple[dict[str, EntryT], dict[str, Path]]:
    """Entries by id over all files, and the file that each came from."""
    entries: dict[str, EntryT] = {}
    origin: dict[str, Path] = {}
    for path in paths:
        for index, raw in enumerate(_read_list(path)):
            entry = _parse(path, index, raw, model)
            entry_id = _id_of(entry)
            if entry_id in entries:
                raise _refusal(path, entry_id, f"duplicate id, also in {origin[entry_id].name}")
            entries[entry_id], origin[entry_id] = entry, path
    return entries, origin


def _id_of(entry: Any) -> str:
    has_id: _HasId = entry
    return has_id.id


def _read_list(path: Path) -> list[Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a CSafeLoader)
    except OSError as error:
        raise _refusal(path, "-", f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _refusal(path, "-", "is not UTF-8") from error
    except yaml.YAMLError as error:
        raise _refusal(path, "-", f"is not valid YAML: {error}") from error
    if not isinstance(content, list) or not content:
        raise _refusal(path, "-", "must be a list of entries")
    return content


def _parse(path: Path, index: int, raw: object, model: type[EntryT]) -> EntryT:
    named = isinstance(raw, dict) and isinstance(raw.get("id"), str)
    entry_id = str(raw["id"]) if isinstance(raw, dict) and named else f"entry {index + 1}"
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _refusal(path, entry_id, f"{where}: {first['msg']}") from error


def _check_finding(entry: FindingEntry, known: dict[str, FindingEntry], path: Path) -> None:
    _check_known(entry.broader, known, path, entry.id, "broader")
    if _leads_back(entry.id, known):
        raise _refusal(path, entry.id, "broader: leads back to the finding itself")
    for language, forms in (("en", entry.forms.en), ("ko", entry.forms.ko)):
        if len(set(forms)) != len(forms):
            raise _refusal(path, entry.id, f"forms.{language}: the same form twice")
        for form in forms:
            try:
                expand(form)
            except FormError as error:
                raise _refusal(path, entry.id, f"forms.{language}: {error}") from error


def _leads_back(finding_id: str, known: dict[str, FindingEntry]) -> bool:
    seen: set[str] = set()
    frontier = list(known[finding_id].broader)
    while frontier:
        above = frontier.pop()
        if above == finding_id:
            return True
        if above not in seen and above in known:
            seen.add(above)
            frontier.extend(known[above].broader)
    return False


def _check_condition(entry: Condition, known: dict[str, FindingEntry], path: Path) -> None:
    _check_known(entry.findings, known, path, entry.id, "findings")
    _check_known(entry.against, known, path, entry.id, "against")
    _check_known(entry.red_flags, known, path, entry.id, "red_flags")
    both = sorted(set(entry.findings) & set(entry.against))
    if both:
        raise _refusal(path, entry.id, f"against: {both[0]} is also a typical finding")


def _check_red_flag(entry: RedFlagRule, known: dict[str, FindingEntry], path: Path) -> None:
    for clause in entry.when:
        _check_known((*clause.all_of, *clause.any_of, *clause.none_of), known, path, entry.id, "when")


def _check_known(ids: Iterable[str], known: dict[str, FindingEntry], path: Path, entry_id: str, where: str) -> None:
    listed = list(ids)
    for finding_id in listed:
        if finding_id not in known:
            raise _refusal(path, entry_id, f"{where}: unknown finding {finding_id}")
    if len(set(listed)) != len(listed):
        raise _refusal(path, entry_id, f"{where}: the same finding twice")


def _version(paths: Iterable[Path]) -> str:
    """The first 12 hex digits of the SHA-256 over names and bytes of the data files."""
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(f"{path.parent.name}/{path.name}:{len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def _refusal(path: Path, entry_id: str, reason: str) -> ArtifactError:
    one_line = " ".join(reason.split())
    return ArtifactError(CODE, file=path.name, entry=entry_id, reason=one_line)
