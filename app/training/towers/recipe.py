"""Both towers from the data folder, phase by phase. A phase whose result lies in the work folder is not run again."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import nn

from app.encoders.audio_input import log_mel
from app.training.towers.audio_batch import AudioBatch, audio_spec, new_audio_encoder
from app.training.towers.heart_clips import augmented_mels, load_clips, plain_mels
from app.training.towers.heart_training import HeartOptions, HeartStudent, heart_predictions, train_heart
from app.training.towers.store import AUDIO_CONFIG, MAX_PIXELS, MIN_PIXELS, VISION_CONFIG, rescale_output, save_towers
from app.training.towers.teacher import load_teacher
from app.training.towers.views import CLASSES, LabelArray, load_xrays, plain_view
from app.training.towers.vision_batch import VisionBatch, normalise, vision_spec
from app.training.towers.vision_init import new_vision_encoder
from app.training.towers.xray_lessons import GRID, Lessons, general_lessons, predicted_classes, tuned_lessons
from app.training.towers.xray_student import Round, VisionStudent, class_predictions, distil, new_student, resized
from app.training.towers.xray_teacher import fine_tune
from app.training.towers.xray_views import Changed, Kind, Log, Views, make_views, mild_views, plain_views, with_blends

M = TypeVar("M", bound=nn.Module)
_NORM_SAMPLE = 64
"""Train images and clips whose tokens are measured."""
_CHANGED = Changed(mild=6, strong=5)


@dataclass(frozen=True, slots=True)
class Course:
    """Lessons and the rounds of distillation on them. `components`: directions kept of each of the teacher's levels;
    `summary`: of whole pictures."""

    components: tuple[int, ...]
    summary: int
    plans: tuple[Round, ...]


GENERAL = Course(
    components=(48, 48, 64, 96),
    summary=128,
    plans=(
        Round(
            steps=750,
            schedule=1500,
            batch={Kind.PLAIN: 8, Kind.MILD: 13, Kind.STRONG: 8, Kind.FOREIGN: 3},
            verdict_weight=8.0,
        ),
    ),
)
"""First the tower learns what an ImageNet network sees in X-rays."""
TUNED = Course(
    components=(32, 48, 48, 128),
    summary=32,
    plans=(
        Round(
            steps=1500,
            schedule=1500,
            batch={Kind.PLAIN: 7, Kind.MILD: 9, Kind.BLENDED: 10, Kind.STRONG: 3, Kind.FOREIGN: 3},
            verdict_weight=6.0,
        ),
        Round(
            steps=1800,
            schedule=1800,
            batch={Kind.PLAIN: 8, Kind.MILD: 10, Kind.BLENDED: 10, Kind.STRONG: 2, Kind.FOREIGN: 2},
            verdict_weight=16.0,
            map_weight=0.2,
            seed=11,
        ),
    ),
)
"""Then what the same network, fine-tuned on them, makes of that; at last its verdicts above all."""


@dataclass(frozen=True, slots=True)
class TowerRecipe:
    """Sizes of the training. `token_norm`: length of a tower's tokens; SmolLM2's own are 3 long at the input and 127
    long at layer 8, so tokens of this length keep what they say through the layers between."""

    views: Changed = _CHANGED
    blends: int = 6
    """Blended views, as a multiple of the X-rays."""
    teacher_passes: float = 4.0
    general: Course = GENERAL
    tuned: Course = TUNED
    versions_per_clip: int = 6
    heart_passes: float = 6.0
    token_norm: float = 100.0
    seed: int = 0


def train_towers(data: Path, work: Path, output: Path, recipe: TowerRecipe, log: Log) -> dict[str, object]:
    """Train, write the towers' folder, and return what the report says of the training itself."""
    work.mkdir(parents=True, exist_ok=True)
    kept = sorted(path.stem for path in work.glob("*.pt"))
    heart, heart_dev = _heart(data / "heart", work, recipe, log)
    vision, xray_dev = _vision(data / "cxr", work, recipe, log)
    rescale_output(heart.tower.encoder.proj, recipe.token_norm / _heart_norm(heart, data / "heart"))
    rescale_output(vision.tower.encoder.merger.mlp[2], recipe.token_norm / _vision_norm(vision, data / "cxr"))
    save_towers(vision.tower.encoder, heart.tower.encoder, (vision.tower.spec, heart.tower.spec), output)
    return {"recipe": asdict(recipe), "phases_of_earlier_runs": kept, "own_heads_on_dev": xray_dev | heart_dev}


def _heart(data: Path, work: Path, recipe: TowerRecipe, log: Log) -> tuple[HeartStudent, dict[str, object]]:
    encoder = new_audio_encoder(AUDIO_CONFIG, recipe.seed)
    spec = audio_spec(encoder)

    def train() -> HeartStudent:
        mels = augmented_mels(load_clips(data, "train"), spec, recipe.versions_per_clip, recipe.seed)
        log(f"{len(mels.mels)} versions of heart sounds made")
        options = HeartOptions(passes=recipe.heart_passes, seed=recipe.seed)
        return train_heart(HeartStudent(AudioBatch(encoder, spec)), mels, options, log)

    student = _kept(work / "audio.pt", HeartStudent(AudioBatch(encoder, spec)), train)
    dev = plain_mels(load_clips(data, "dev"), spec)
    accuracy = float((heart_predictions(student, dev) == dev.labels).mean())
    log(f"audio tower, own head: dev accuracy {accuracy:.4f}")
    return student, {"heart_accuracy": round(accuracy, 4)}


def _vision(data: Path, work: Path, recipe: TowerRecipe, log: Log) -> tuple[VisionStudent, dict[str, object]]:
    encoder = new_vision_encoder(VISION_CONFIG, recipe.seed)
    tower = VisionBatch(encoder, vision_spec(encoder, MIN_PIXELS, MAX_PIXELS))
    general = load_teacher(len(CLASSES))
    dev = load_xrays(data, "dev")
    held_out = {"plain": plain_views(dev, general, log), "mild": mild_views(dev, general, recipe.seed, log)}

    def train() -> VisionStudent:
        xrays = load_xrays(data, "train")
        views = make_views(xrays, general, recipe.views, recipe.seed, log)
        tuned = _kept(
            work / "teacher.pt",
            load_teacher(len(CLASSES)),
            lambda: fine_tune(copy.deepcopy(general), views, recipe.teacher_passes, recipe.seed, log),
        )
        for name, seen in held_out.items():
            log(f"teacher: dev macro-F1 {_macro_f1(seen, predicted_classes(tuned, seen))} on {name} views")
        lessons = general_lessons(general, views, recipe.general.components, recipe.general.summary)
        trained = _rounds(tower, views, lessons, recipe.general, log).tower
        views = with_blends(views, general, recipe.blends * len(xrays.images), recipe.seed, log)
        lessons = tuned_lessons(general, tuned, views, recipe.tuned.components, recipe.tuned.summary)
        return _rounds(trained, views, lessons, recipe.tuned, log)

    untrained = VisionStudent(tower, sum(recipe.tuned.components), recipe.tuned.summary, len(CLASSES))
    student = _kept(work / "vision.pt", untrained, train)
    scores: dict[str, object] = {
        f"xray_macro_f1_{name}": _macro_f1(seen, class_predictions(student, seen)) for name, seen in held_out.items()
    }
    log(f"vision tower, own head: {scores}")
    return student, scores


def _rounds(tower: VisionBatch, views: Views, lessons: Lessons, course: Course, log: Log) -> VisionStudent:
    student = new_student(tower, lessons)
    for plan in course.plans:
        student = distil(student, views, lessons, plan, log)
    return student


def _macro_f1(views: Views, predicted: LabelArray) -> float:
    return round(float(f1_score(views.labels, predicted, average="macro")), 4)


@torch.no_grad()
def _heart_norm(student: HeartStudent, data: Path) -> float:
    """Mean length of a token."""
    clips = load_clips(data, "train")
    picked = np.linspace(0, len(clips.waves) - 1, _NORM_SAMPLE).astype(int)
    mels = [torch.from_numpy(log_mel(clips.waves[index], student.tower.spec)) for index in picked]
    return float(torch.cat([student.tower(mel[None])[0] for mel in mels]).norm(dim=1).mean())


@torch.no_grad()
def _vision_norm(student: VisionStudent, data: Path) -> float:
    """Mean length of a token."""
    images = load_xrays(data, "train").images
    picked = np.linspace(0, len(images) - 1, _NORM_SAMPLE).astype(int)
    views = torch.from_numpy(np.stack([plain_view(images[index]) for index in picked])).float()
    tokens = student.tower(normalise(resized(views, (GRID, GRID))[:, None].expand(-1, 3, -1, -1)))
    return float(tokens.norm(dim=-1).mean())


def _kept(path: Path, empty: M, train: Callable[[], M]) -> M:
    """The module of an earlier run, or a newly trained one, kept for the next run."""
    if path.is_file():
        empty.load_state_dict(torch.load(path, weights_only=True))
        return empty.eval()
    trained = train()
    partial = path.with_suffix(".partial")
    torch.save(trained.state_dict(), partial)
    partial.rename(path)
    return trained
