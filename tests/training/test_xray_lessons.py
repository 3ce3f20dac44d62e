"""What the vision tower is taught, by a teacher of random weights: every view has its lesson, blends have no label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from app.domain import FloatArray
from app.training.towers.recipe import TUNED
from app.training.towers.store import MAX_PIXELS, MIN_PIXELS, VISION_CONFIG
from app.training.towers.teacher import FEATURES, Teacher
from app.training.towers.views import CLASSES, XraySet
from app.training.towers.vision_batch import VisionBatch, vision_spec
from app.training.towers.vision_init import new_vision_encoder
from app.training.towers.xray_lessons import GRID, Lessons, general_lessons, predicted_classes, tuned_lessons
from app.training.towers.xray_student import class_predictions, distil, new_student
from app.training.towers.xray_teacher import fine_tune
from app.training.towers.xray_views import UNLABELLED, Changed, Kind, Views, make_views, with_blends

XRAYS = 12
COMPONENTS = (3, 3, 3, 5)


def _logits(lessons: Lessons) -> FloatArray:
    verdicts = lessons.verdicts
    return verdicts.targets * verdicts.spread + verdicts.mean


def _silent(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    torch.manual_seed(0)
    teacher = Teacher(len(CLASSES)).eval()
    for module in teacher.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return teacher


@pytest.fixture(scope="module")
def views(teacher: Teacher) -> Views:
    rng = np.random.default_rng(0)
    images = tuple(rng.integers(0, 256, (60 + 4 * number, 64), dtype=np.uint8) for number in range(XRAYS))
    data = XraySet(images, np.arange(XRAYS) % 3)
    return make_views(data, teacher, Changed(mild=1, strong=1), 0, _silent)


@pytest.fixture(scope="module")
def lessons(teacher: Teacher, views: Views) -> Lessons:
    return general_lessons(teacher, views, COMPONENTS, 6)


def test_every_xray_is_seen_plain_and_changed_beside_foreign_pictures(views: Views) -> None:
    counts = {kind: len(views.of(kind)) for kind in Kind}
    assert counts == {Kind.PLAIN: XRAYS, Kind.MILD: XRAYS, Kind.STRONG: XRAYS, Kind.FOREIGN: 2, Kind.BLENDED: 0}
    for kind in (Kind.PLAIN, Kind.MILD, Kind.STRONG):
        assert views.labels[views.of(kind)].tolist() == [number % 3 for number in range(XRAYS)]
    assert set(views.labels[views.of(Kind.FOREIGN)]) == {CLASSES.index("other")}


def test_blends_come_after_the_views_and_have_no_label(views: Views, teacher: Teacher) -> None:
    blended = with_blends(views, teacher, 5, 0, _silent)
    assert blended.of(Kind.BLENDED).tolist() == list(range(len(views.labels), len(views.labels) + 5))
    assert set(blended.labels[blended.of(Kind.BLENDED)]) == {UNLABELLED}
    np.testing.assert_array_equal(blended.images[: len(views.labels)], views.images)
    assert blended.early.shape == (len(views.labels) + 5, *views.early.shape[1:])


def test_general_lessons_are_standardised_over_near_views(views: Views, lessons: Lessons) -> None:
    near = views.of(Kind.PLAIN, Kind.MILD)
    assert lessons.maps.shape == (len(views.labels), sum(COMPONENTS), GRID, GRID)
    assert lessons.summaries.shape == (len(views.labels), 6)
    np.testing.assert_allclose(lessons.summaries[near].std(0), 1, atol=0.1)
    np.testing.assert_allclose(np.corrcoef(lessons.summaries[near].T), np.eye(6), atol=0.1)
    np.testing.assert_allclose(lessons.verdicts.targets[near].mean(0), 0, atol=1e-3)
    read = _logits(lessons)[near].argmax(1)
    assert (read == views.labels[near]).mean() > 0.9  # more features than pictures: the probe fits its own


def test_tuned_lessons_repeat_the_tuned_teachers_verdict(views: Views, teacher: Teacher) -> None:
    torch.manual_seed(1)
    tuned = Teacher(len(CLASSES)).eval()
    tuned.load_state_dict(teacher.state_dict() | {"head.weight": torch.randn(len(CLASSES), FEATURES)})
    taught = tuned_lessons(teacher, tuned, views, COMPONENTS, 6)
    near = views.of(Kind.PLAIN, Kind.MILD)
    said = _logits(taught)[near][:, :-1].argmax(1)
    assert said.tolist() == predicted_classes(tuned, views)[near].tolist()


def test_fine_tuning_moves_only_what_follows_the_frozen_blocks(views: Views, teacher: Teacher) -> None:
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    learner = Teacher(len(CLASSES))
    learner.load_state_dict(before)
    tuned = fine_tune(learner, views, 1.0, 0, _silent).state_dict()
    changed = {name for name in before if not torch.equal(before[name], tuned[name])}
    assert {"head.weight", "_conv_head.weight"} <= changed
    assert not {name for name in changed if name.startswith(("_conv_stem", "_blocks.7."))}


def test_a_student_learns_and_reads_classes(views: Views, lessons: Lessons) -> None:
    encoder = new_vision_encoder(VISION_CONFIG, 0)
    tower = VisionBatch(encoder, vision_spec(encoder, MIN_PIXELS, MAX_PIXELS))
    before = {name: value.clone() for name, value in tower.state_dict().items()}
    plan = replace(TUNED.plans[0], steps=3, schedule=3, batch={Kind.PLAIN: 3, Kind.STRONG: 2, Kind.FOREIGN: 1})
    lines: list[str] = []
    student = distil(new_student(tower, lessons), views, lessons, plan, lines.append)
    assert len(lines) == 3
    assert any(not torch.equal(before[name], value) for name, value in student.tower.state_dict().items())
    predicted = class_predictions(student, views)
    assert predicted.shape == views.labels.shape
    assert set(predicted) <= {0, 1, 2}
