"""Both towers from the data folder, phase by phase. A phase whose result lies in the work folder is not run again."""

from __future__ import annotations

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
from app.training.towers.teacher import Teacher, load_teacher
from app.training.towers.views import CLASSES, load_xrays, plain_view
from app.training.towers.vision_batch import VisionBatch, normalise, vision_spec
from app.training.towers.vision_init import new_vision_encoder
from app.training.towers.xray_student import StudentOptions, VisionStudent, class_predictions, distil, resized
from app.training.towers.xray_teacher import Log, Views, fine_tune, local_basis, make_views, plain_views, teach

M = TypeVar("M", bound=nn.Module)
_NORM_SAMPLE = 64
"""Train images and clips whose tokens are measured."""


@dataclass(frozen=True, slots=True)
class TowerRecipe:
    """Sizes of the training. `token_norm`: length of a tower's tokens; SmolLM2's own are 3 long at the input and 127
    long at layer 8, so tokens of this length keep what they say through the layers between."""

    views_per_xray: int = 12
    teacher_passes: float = 5.0
    components: int = 256
    vision_rounds: tuple[float, ...] = (1.5, 2.5)
    """Passes of each round of distillation: the learning rate is warmed up and let down once a round."""
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
    fresh = load_teacher(len(CLASSES))
    dev = plain_views(load_xrays(data, "dev"), fresh, log)
    scores: dict[str, object] = {}

    def train() -> VisionStudent:
        views = make_views(load_xrays(data, "train"), fresh, recipe.views_per_xray, recipe.seed, log)
        teacher = _kept(
            work / "teacher.pt",
            load_teacher(len(CLASSES)),
            lambda: fine_tune(fresh, views, recipe.teacher_passes, recipe.seed, log),
        )
        log(f"teacher: dev macro-F1 {_teacher_score(teacher, dev, recipe):.4f}")
        lessons = teach(teacher, views, local_basis(teacher, views, recipe.components, recipe.seed))
        student = VisionStudent(tower, recipe.components)
        for number, passes in enumerate(recipe.vision_rounds):
            student = distil(student, lessons, StudentOptions(passes=passes, seed=recipe.seed + number), log)
        return student

    student = _kept(work / "vision.pt", VisionStudent(tower, recipe.components), train)
    predicted = class_predictions(student, dev, (10, 10))
    scores["xray_macro_f1"] = round(float(f1_score(dev.labels, predicted, average="macro")), 4)
    log(f"vision tower, own head: dev macro-F1 {scores['xray_macro_f1']}")
    return student, scores


def _teacher_score(teacher: Teacher, dev: Views, recipe: TowerRecipe) -> float:
    lessons = teach(teacher, dev, local_basis(teacher, dev, 1, recipe.seed))
    return float(f1_score(dev.labels, lessons.probabilities[:, :-1].argmax(1), average="macro"))


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
    tokens = student.tower(normalise(resized(views, (10, 10))[:, None].expand(-1, 3, -1, -1)))
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
