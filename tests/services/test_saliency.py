"""Occlusion maps of a synthetic encoder and predictor: only what is bright in one quarter of a picture matters."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from PIL import Image as Pillow

from app.domain import Case, Embedding, Evidence, Image, Saliency, Source
from app.encoders.session import Cancellation
from app.errors import DeadlineError
from app.media import draw_heat_map
from app.services.saliency import GRIDS, cover, mean_colour, saliency_maps, time_budget

QUARTERS = {(0, 0): 0, (0, 1): 1, (1, 0): 2, (1, 1): 3}
RED_INDEX, BLUE_INDEX = 0, 2


@dataclass
class Clock:
    """Seconds that pass only when the encoder works."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class QuarterEncoder:
    """An image's vector: the mean brightness of its quarters. Each call takes `slower` seconds more."""

    clock: Clock = field(default_factory=Clock)
    seconds: float = 0.0
    slower: float = 0.0
    cancel_at: int | None = None
    cases: list[Case] = field(default_factory=list)

    def encode(
        self, case: Case, cancellation: Cancellation | None = None, *, keep: bool = True
    ) -> tuple[Embedding, ...]:
        assert not keep, "what is covered is sent once only"
        assert cancellation is not None
        self.cases.append(case)
        self.clock.now += self.seconds
        self.seconds += self.slower
        if len(self.cases) == self.cancel_at:
            cancellation.cancel()
        text = [Embedding(Source.OMNI_TEXT, np.zeros(4, np.float32))] if case.text is not None else []
        return (*(Embedding(Source.OMNI_IMAGE, quarters(image.pixels)) for image in case.images), *text)

    def truncates(self, text: str) -> bool:
        return False


@dataclass
class QuarterPredictor:
    """Log odds: the brightness of one quarter of one image, times `sign`; nothing else matters."""

    quarter: int
    image: int = 0
    sign: float = 1.0
    sequence_layout: str = "independent"
    version: str = "f"
    seen: list[Sequence[Evidence]] = field(default_factory=list)

    def predict(self, evidence: Evidence):
        raise AssertionError("the maps need log odds alone")

    def log_odds(self, variants: Sequence[Evidence], condition_id: str) -> list[float]:
        assert condition_id == "pneumonia"
        self.seen.append(variants)
        images = [[item for item in one.embeddings if item.source is Source.OMNI_IMAGE] for one in variants]
        return [self.sign * float(found[self.image].vector[self.quarter]) / 255 for found in images]


def quarters(pixels) -> np.ndarray:
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    parts = [pixels[:height, :width], pixels[:height, width:], pixels[height:, :width], pixels[height:, width:]]
    return np.array([part.mean() for part in parts], np.float32)


def lit(row: int, column: int, height: int = 64, width: int = 48) -> Image:
    """Black but for a white square in the middle of one quarter."""
    pixels = np.zeros((height, width, 3), np.uint8)
    top, left = row * height // 2 + height // 8, column * width // 2 + width // 8
    pixels[top : top + height // 4, left : left + width // 4] = 255
    return Image(pixels)


def evidence_of(case: Case) -> Evidence:
    images = tuple(Embedding(Source.OMNI_IMAGE, quarters(image.pixels)) for image in case.images)
    text = [Embedding(Source.OMNI_TEXT, np.zeros(4, np.float32))] if case.text is not None else []
    medical = [Embedding(Source.MEDICAL_TEXT, np.full(3, 7, np.float32))] if case.text is not None else []
    return Evidence((*text, *images, *medical))


def maps(
    case: Case,
    predictor: QuarterPredictor,
    encoder: QuarterEncoder | None = None,
    *,
    budget_s: float = 60.0,
    cancellation: Cancellation | None = None,
) -> tuple[Saliency, ...]:
    encoder = encoder or QuarterEncoder()
    stop = cancellation or Cancellation()
    return saliency_maps(
        case,
        evidence_of(case),
        "pneumonia",
        encoder,
        predictor,
        budget_s=budget_s,
        cancellation=stop,
        clock=encoder.clock,
    )


# --------------------------------------------------------------------------- where it points
@pytest.mark.parametrize(("place", "quarter"), QUARTERS.items())
@pytest.mark.parametrize("layout", ["independent", "joint"])
def test_the_quarter_that_matters_is_the_maximum(place: tuple[int, int], quarter: int, layout: str) -> None:
    case = Case(language="en", text="cough", images=(lit(*place),))
    (found,) = maps(case, QuarterPredictor(quarter, sequence_layout=layout))
    effects = np.asarray(found.effects)
    assert effects.shape == (GRIDS[0], GRIDS[0])
    row, column = np.unravel_index(int(effects.argmax()), effects.shape)
    assert (row // (GRIDS[0] // 2), column // (GRIDS[0] // 2)) == place
    assert effects.max() > 0
    elsewhere = np.ones_like(effects, bool)
    half = GRIDS[0] // 2
    elsewhere[place[0] * half : (place[0] + 1) * half, place[1] * half : (place[1] + 1) * half] = False
    assert effects[elsewhere].max() < effects.max() / 2
    assert (found.image, found.condition_id) == (0, "pneumonia")


def test_what_speaks_against_the_condition_is_below_zero_and_blue() -> None:
    (found,) = maps(Case(language="en", images=(lit(0, 1),)), QuarterPredictor(1, sign=-1.0))
    assert np.asarray(found.effects).min() < -0.01
    picture = np.asarray(Pillow.open(io.BytesIO(found.png)), int)
    assert (picture[..., BLUE_INDEX] > picture[..., RED_INDEX] + 30).any()


def test_each_image_is_covered_alone_and_the_rest_stays() -> None:
    case = Case(language="en", text="cough", images=(lit(0, 0), lit(1, 1)))
    encoder, predictor = QuarterEncoder(), QuarterPredictor(3, image=1)
    first, second = maps(case, predictor, encoder)
    assert (first.image, second.image) == (0, 1)
    assert not np.asarray(first.effects).any(), "the other picture decides"
    assert np.asarray(second.effects).max() > 0
    assert all(len(sent.images) == 1 and sent.text is None for sent in encoder.cases)
    sources = [item.source for item in evidence_of(case).embeddings]
    for variants in predictor.seen:
        assert all([item.source for item in one.embeddings] == sources for one in variants)
    full = predictor.seen[1][0].embeddings
    changed = [
        {place for place, (old, new) in enumerate(zip(full, one.embeddings, strict=True)) if old is not new}
        for one in predictor.seen[1][1:]
    ]
    assert all(places == {2} for places in changed), "the second image is the third embedding"


def test_in_the_joint_layout_the_whole_case_is_encoded_again() -> None:
    case = Case(language="en", text="cough", images=(lit(0, 0), lit(1, 1)))
    encoder, predictor = QuarterEncoder(), QuarterPredictor(3, image=1, sequence_layout="joint")
    _, second = maps(case, predictor, encoder)
    assert np.asarray(second.effects).max() > 0
    assert all(len(sent.images) == 2 and sent.text == "cough" for sent in encoder.cases)
    for one in predictor.seen[1]:
        assert [item.source for item in one.embeddings].count(Source.MEDICAL_TEXT) == 1, "it reads no picture"


# --------------------------------------------------------------------------- time
@pytest.mark.parametrize(
    ("seconds", "side"), [(0.01, 8), (0.12, 8), (0.13, 7), (0.21, 6), (0.3, 5), (0.45, 4), (0.8, 3), (0.91, None)]
)
def test_the_grid_is_as_fine_as_the_time_allows(seconds: float, side: int | None) -> None:
    """10 s: 0.8 of what one timed cover leaves of it."""
    encoder = QuarterEncoder(seconds=seconds)
    found = maps(Case(language="en", images=(lit(0, 0),)), QuarterPredictor(0), encoder, budget_s=10.0)
    assert [len(item.effects) for item in found] == ([] if side is None else [side])
    assert encoder.clock.now <= 10.0
    assert len(encoder.cases) == 1 + (0 if side is None else side * side)


def test_several_images_share_the_time() -> None:
    encoder = QuarterEncoder(seconds=0.12)
    case = Case(language="en", images=(lit(0, 0), lit(0, 1), lit(1, 0)))
    found = maps(case, QuarterPredictor(0), encoder, budget_s=10.0)
    assert [len(item.effects) for item in found] == [4, 4, 4]
    assert encoder.clock.now <= 10.0


def test_one_image_is_enough_to_see_that_there_is_no_time_for_four() -> None:
    encoder = QuarterEncoder(seconds=1.0)
    case = Case(language="en", images=(lit(0, 0),) * 4)
    assert maps(case, QuarterPredictor(0), encoder, budget_s=10.0) == ()
    assert len(encoder.cases) == 1


@pytest.mark.parametrize(("slower", "maps_in_time"), [(0.0, 3), (0.001, 2), (0.003, 1), (0.005, 0)])
def test_what_became_slower_than_timed_is_given_up_within_the_budget(slower: float, maps_in_time: int) -> None:
    """The maps that are whole by then are kept."""
    encoder = QuarterEncoder(seconds=0.01, slower=slower)
    case = Case(language="en", images=(lit(0, 0), lit(0, 1), lit(1, 0)))
    found = maps(case, QuarterPredictor(0), encoder, budget_s=10.0)
    assert [item.image for item in found] == list(range(maps_in_time))
    assert encoder.clock.now <= 10.0 + encoder.seconds


@pytest.mark.parametrize(("case", "budget_s"), [
    (Case(language="en", text="cough"), 10.0),
    (Case(language="en", images=(lit(0, 0),)), 0.0),
    (Case(language="en", images=(lit(0, 0),)), -1.0),
])  # fmt: skip
def test_without_images_or_time_nothing_is_encoded(case: Case, budget_s: float) -> None:
    encoder = QuarterEncoder()
    assert maps(case, QuarterPredictor(0), encoder, budget_s=budget_s) == ()
    assert encoder.cases == []


@pytest.mark.parametrize(("elapsed", "budget"), [(0.0, 12.0), (12.0, 12.0), (20.0, 7.0), (30.0, 0.0), (31.0, 0.0)])
def test_the_budget_is_a_share_of_the_deadline_and_of_what_is_left(elapsed: float, budget: float) -> None:
    assert time_budget(30.0, elapsed) == pytest.approx(budget)


@pytest.mark.parametrize("at", [1, 2, 40])
def test_a_cancelled_case_stops_at_once(at: int) -> None:
    encoder = QuarterEncoder(cancel_at=at)
    with pytest.raises(DeadlineError):
        maps(Case(language="en", images=(lit(0, 0), lit(1, 0))), QuarterPredictor(0), encoder)
    assert len(encoder.cases) == at


# --------------------------------------------------------------------------- covers
@pytest.mark.parametrize("side", GRIDS)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (1, 100), (16, 16), (17, 1600), (61, 47)])
def test_covers_are_never_empty_and_together_leave_nothing_out(height: int, width: int, side: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (height, width, 3), dtype=np.uint8)
    before, colour = pixels.copy(), np.array([250, 251, 252], np.uint8)
    seen = np.zeros((height, width), bool)
    for row in range(side):
        for column in range(side):
            covered = cover(pixels, row, column, side, colour)
            changed = (covered != pixels).any(axis=2)
            assert changed.any()
            assert (covered[changed] == colour).all()
            seen |= changed
    assert seen.all()
    assert np.array_equal(pixels, before), "the picture itself stays as it is"


def test_a_cover_reaches_a_quarter_of_a_part_into_its_neighbours() -> None:
    covered = cover(np.zeros((80, 160, 3), np.uint8), 1, 2, 4, np.full(3, 9, np.uint8))
    rows, columns = np.nonzero(covered.any(axis=2))
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == (15, 45, 70, 130)


def test_the_mean_colour_is_the_pictures_own() -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[:2] = (255, 100, 3)
    assert mean_colour(pixels).tolist() == [128, 50, 2]


def test_an_even_picture_has_an_empty_map() -> None:
    case = Case(language="en", images=(Image(np.full((16, 16, 3), 90, np.uint8)),))
    (found,) = maps(case, QuarterPredictor(0))
    assert not np.asarray(found.effects).any()
    picture = np.asarray(Pillow.open(io.BytesIO(found.png)))
    assert (picture == 90).all()


# --------------------------------------------------------------------------- the picture
@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(16, 16, (16, 16)), (2000, 1000, (256, 512)), (16, 1600, (512, 5)), (512, 512, (512, 512))],
)
def test_the_picture_is_small_and_keeps_its_shape(height: int, width: int, size: tuple[int, int]) -> None:
    png = draw_heat_map(np.zeros((height, width, 3), np.uint8), np.eye(3))
    picture = Pillow.open(io.BytesIO(png))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", size)
    assert not picture.info, "nothing but pixels"


def test_red_speaks_for_and_blue_against_over_grey() -> None:
    pixels = np.zeros((90, 90, 3), np.uint8)
    pixels[..., 0] = 200  # colours of the picture itself must not be taken for the map's
    values = np.zeros((3, 3))
    values[0, 0], values[2, 2] = 2.0, -1.0
    picture = np.asarray(Pillow.open(io.BytesIO(draw_heat_map(pixels, values))), int)
    red, blue, calm = picture[15, 15], picture[75, 75], picture[75, 15]
    assert red[RED_INDEX] > red[BLUE_INDEX] + 60
    assert blue[BLUE_INDEX] > blue[RED_INDEX] + 20
    assert abs(int(calm[RED_INDEX]) - int(calm[BLUE_INDEX])) < 25
