"""Which files of a repository a conversion reads: its small files, and the shards that hold a tensor of the layouts."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from app.conversion.architecture import CONFIG_ERRORS, OMNI, architecture_of, decoder_layout, parse_config
from app.conversion.checkpoint import WEIGHT_NAMES, Checkpoint, invalid, read_json
from app.conversion.download_lock import is_plain_name
from app.conversion.request import SLOTS, Slot
from app.conversion.text_files import COPIED_NAMES, TOKENIZER_NAME
from app.conversion.towers import audio_layout, vision_layout
from app.errors import ArtifactError

SETTINGS = frozenset({*COPIED_NAMES, TOKENIZER_NAME, "vocab.json", "merges.txt", "tokenizer.model"})
"""The last three are what a fast tokenizer is built from where a repository has no tokenizer.json."""
WEIGHTS = tuple(found for name in WEIGHT_NAMES for found in (f"{name}.index.json", name))
"""In the order in which the conversion looks for them: a pickled checkpoint only where there are no safetensors."""


def small_files(names: Collection[str], repo: str) -> list[str]:
    """The settings, and the tensor index where there is one. ArtifactError where the repository has no weights."""
    if "config.json" not in names:
        raise ArtifactError("download_no_checkpoint", repo=repo, file="config.json")
    index = _weights(names, repo)
    return sorted({*SETTINGS.intersection(names), *([index] if index.endswith(".json") else [])})


def weight_files(names: Collection[str], repo: str, folder: Path, slot: Slot, layers: int | None) -> list[str]:
    """The files with the tensors that a conversion of the first `layers` layers reads (None: all).

    `folder` holds the small files. ArtifactError for a checkpoint that could not be converted for this slot.
    """
    weights = _weights(names, repo)
    if not weights.endswith(".json"):
        _tensors(folder, slot, layers)
        return [weights]
    shards = read_json(folder / weights).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise invalid(folder, f"{weights} has no usable weight_map")
    needed = _tensors(folder, slot, layers)
    missing = sorted(needed - shards.keys())
    if missing:
        raise invalid(folder, f"tensor {missing[0]} is missing ({len(missing)} in all)")
    files = sorted({shards[name] for name in needed})
    for name in files:
        if not is_plain_name(name) or name not in names:
            raise ArtifactError("download_no_checkpoint", repo=repo, file=name)
    return files


def _weights(names: Collection[str], repo: str) -> str:
    for name in WEIGHTS:
        if name in names:
            return name
    raise ArtifactError("download_no_checkpoint", repo=repo, file=WEIGHT_NAMES[0])


def _tensors(folder: Path, slot: Slot, layers: int | None) -> set[str]:
    """Names that the conversion's layouts ask for: of an omni checkpoint neither talker nor token2wav, and no head."""
    checkpoint = Checkpoint(folder, read_json(folder / "config.json"), _ignore)
    architecture = architecture_of(checkpoint)
    if architecture not in SLOTS[slot]:
        raise ArtifactError("conversion_slot", slot=slot, architecture=architecture)
    config: Any = parse_config(checkpoint, architecture)
    try:
        names = set(decoder_layout(checkpoint, architecture, config, layers).tensors())
        if architecture == OMNI:
            names.update(vision_layout(checkpoint, config, None).tensors())
            names.update(audio_layout(checkpoint, config).tensors())
    except CONFIG_ERRORS as error:
        raise invalid(folder, f"config.json holds a value that makes no sense: {error}") from error
    return names


def _ignore(weights: int) -> None:
    """No weight is read here, so there is no progress to tell."""
    del weights
