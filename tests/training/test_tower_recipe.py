"""The whole recipe on a handful of made-up X-rays and heart sounds: it trains, resumes, writes the towers."""

from __future__ import annotations

import csv
import importlib.util
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from app.conversion.embedded_checkpoints import TOWER_FILES
from app.training.towers.heart_clips import HEART_CLASSES
from app.training.towers.recipe import GENERAL, TUNED, Course, TowerRecipe, train_towers
from app.training.towers.teacher import PACKAGE
from app.training.towers.views import CLASSES
from app.training.towers.xray_views import Changed


def _short(course: Course) -> Course:
    plans = tuple(replace(plan, steps=2, schedule=3) for plan in course.plans)
    return Course(components=(2, 2, 2, 2), summary=4, plans=plans)


TINY = TowerRecipe(
    views=Changed(mild=1, strong=1),
    blends=1,
    teacher_passes=6,
    general=_short(GENERAL),
    tuned=_short(TUNED),
    versions_per_clip=2,
    heart_passes=4,
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("dev", 1)):
        _write(tmp_path / "cxr", split, CLASSES[:-1], count, "jpg", lambda path: _picture(path, rng))
        _write(tmp_path / "heart", split, HEART_CLASSES[:-1], count, "wav", lambda path: _sound(path, rng))
    return tmp_path


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec(PACKAGE) is None, reason="the teacher's weights are not installed")
def test_recipe_trains_resumes_and_writes_the_towers(data: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    report = train_towers(data, tmp_path / "work", tmp_path / "towers", TINY, lines.append)
    assert {path.name for path in (tmp_path / "towers").iterdir()} == set(TOWER_FILES)
    assert {path.name for path in (tmp_path / "work").iterdir()} == {"audio.pt", "teacher.pt", "vision.pt"}
    for tower in ("vision", "audio"):
        assert any(line.startswith(f"{tower}: step") for line in lines)
    first = load_file(tmp_path / "towers" / "vision.safetensors")
    lines.clear()
    again = train_towers(data, tmp_path / "work", tmp_path / "again", TINY, lines.append)
    assert not any("step" in line for line in lines)
    assert report["phases_of_earlier_runs"] == []
    assert again["phases_of_earlier_runs"] == ["audio", "teacher", "vision"]
    assert again["own_heads_on_dev"] == report["own_heads_on_dev"]
    for name, weight in load_file(tmp_path / "again" / "vision.safetensors").items():
        torch.testing.assert_close(weight, first[name])


def _write(folder: Path, split: str, labels: tuple[str, ...], count: int, kind: str, make: object) -> None:
    (folder / split).mkdir(parents=True)
    rows = [(f"{label}_{index}.{kind}", label) for label in labels for index in range(count)]
    for name, _ in rows:
        make(folder / split / name)  # type: ignore[operator]
    with (folder / f"{split}.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([("file", "label"), *rows])


def _picture(path: Path, rng: np.random.Generator) -> None:
    noise = Image.fromarray(rng.integers(0, 256, (12, 10), dtype=np.uint8))
    noise.resize((100, 120), Image.Resampling.BICUBIC).save(path)


def _sound(path: Path, rng: np.random.Generator) -> None:
    samples = (rng.normal(0, 3000, 12_000)).astype("<i2")
    with wave.open(str(path), "wb") as handle:
        handle.setnchannels(1)
        handle.setsampwidth(2)
        handle.setframerate(8000)
        handle.writeframes(samples.tobytes())
