"""Explanations on their way through a whole case: asked for, within the deadline, in the answer, never stored."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from app.domain import Case, CaseRequest
from app.encoders.session import Cancellation
from app.errors import DeadlineError
from app.services.host import Components
from app.storage.analyses import AnalysisRepository
from app.storage.database import open_database
from app.storage.schema import AnalysisRow
from tests.media_samples import png
from tests.services.fakes import FakeEncoder, FakePredictor, FakeStorage, components
from tests.services.test_analysis import running

TEXT = "chest pain and cough"
PICTURE = png()


def slow(seconds: float):
    def work(case: Case, cancellation: Cancellation) -> None:
        if case.images and case.text is None:  # a covered picture, alone
            time.sleep(seconds)
            cancellation.check()

    return work


def files_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def omni(parts: Components) -> FakeEncoder:
    assert isinstance(parts.omni, FakeEncoder)
    return parts.omni


async def test_maps_of_every_image_are_in_the_answer_where_they_are_asked_for() -> None:
    parts = components()
    async with running(parts) as run:
        answer = await run.service.analyze(CaseRequest(text=TEXT, images=(PICTURE, PICTURE), explain=True))
    assert [(item.image, item.condition_id) for item in answer.saliency] == [
        (0, "acute_myocardial_infarction"),
        (1, "acute_myocardial_infarction"),
    ]
    assert all(item.png.startswith(b"\x89PNG") and len(item.effects) == 8 for item in answer.saliency)
    assert answer.warnings == ()
    names = list(answer.timings_ms)
    assert names[names.index("fusion") + 1] == "explain"
    assert omni(parts).kept == [True] + [False] * (len(omni(parts).calls) - 1), "covered pictures do not fill the cache"


@pytest.mark.parametrize(
    "request_",
    [
        CaseRequest(text=TEXT, images=(PICTURE,)),
        CaseRequest(text=TEXT, explain=True),
        CaseRequest(text=TEXT, images=(PICTURE,), explain=False),
    ],
)
async def test_without_images_or_without_asking_there_is_no_map_and_no_warning(request_: CaseRequest) -> None:
    parts = components()
    async with running(parts) as run:
        answer = await run.service.analyze(request_)
    assert answer.saliency == ()
    assert answer.warnings == ()
    assert "explain" not in answer.timings_ms
    assert len(omni(parts).calls) == 1


async def test_where_there_is_no_time_the_answer_comes_without_maps_and_says_so() -> None:
    parts = components(before=slow(0.1))
    async with running(parts, deadline_s=1.5) as run:
        started = time.monotonic()
        answer = await run.service.analyze(CaseRequest(text=TEXT, images=(PICTURE,), explain=True))
        took = time.monotonic() - started
    assert answer.status == "ok"
    assert answer.saliency == ()
    assert answer.warnings == ("saliency_skipped",)
    assert took < 1.0, "one cover was timed: nine would take longer than 0.4 of the deadline"


async def test_a_cancelled_case_is_not_explained_to_the_end() -> None:
    """The first cover is quick, the others never come back by themselves."""
    parts = components()

    def hang(case: Case, cancellation: Cancellation) -> None:
        if len(omni(parts).calls) > 4:
            while True:
                time.sleep(0.005)
                cancellation.check()

    omni(parts).before = hang
    async with running(parts, deadline_s=0.4) as run:
        with pytest.raises(DeadlineError):
            await run.service.analyze(CaseRequest(text=TEXT, images=(PICTURE,), explain=True))
        await run.idle()
    assert len(omni(parts).calls) == 5


# --------------------------------------------------------------------------- never stored
@pytest.mark.parametrize("store_text", [False, True])
async def test_no_map_is_handed_to_the_database(store_text: bool) -> None:
    storage = FakeStorage()
    async with running(components(storage=storage), store_text=store_text) as run:
        answer = await run.service.analyze(CaseRequest(text=TEXT, images=(PICTURE,), explain=True))
    assert answer.saliency != ()
    (kept, _, _) = storage.rows[answer.analysis_id]
    assert kept.saliency == ()


@pytest.mark.parametrize("store_text", [False, True])
async def test_the_databases_row_holds_nothing_of_a_map(tmp_path: Path, store_text: bool) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'cases.db'}")
    parts = components(predictor=FakePredictor(effects={"chest_pain": 1.5}))
    stored = Components(
        knowledge=parts.knowledge,
        media=parts.media,
        omni=parts.omni,
        medical=parts.medical,
        fusion=parts.fusion,
        analyses=AnalysisRepository(database),
        feedback=parts.feedback,
        learning=parts.learning,
        source=parts.source,
        versions=parts.versions,
        close=database.close,
    )
    async with running(stored, store_text=store_text) as run:
        answer = await run.service.analyze(CaseRequest(text=TEXT, images=(PICTURE,), explain=True))
        assert len(answer.saliency) == 1
        assert answer.warnings == (), "it was stored"
        with database.reading() as session:
            row = session.get_one(AnalysisRow, answer.analysis_id)
            assert row.result["saliency"] == []
            assert row.result["findings"][0]["effect"] == 1.5
            written = repr([getattr(row, column.key) for column in AnalysisRow.__table__.columns])
    assert "PNG" not in written
    largest = max(max(row) for row in answer.saliency[0].effects)
    assert largest > 0.001
    assert str(largest) not in written
    assert answer.saliency[0].png not in files_in(tmp_path)


# --------------------------------------------------------------------------- findings
async def test_effects_go_with_their_findings() -> None:
    predictor = FakePredictor(effects={"chest_pain": 1.5})
    async with running(components(predictor=predictor)) as run:
        answer = await run.service.analyze(CaseRequest(text=TEXT))
    assert [(item.name, item.effect) for item in answer.findings] == [("chest pain", 1.5), ("cough", None)]


# --------------------------------------------------------------------------- abstaining
async def test_an_abstaining_answer_says_what_would_help_after_the_general_advice() -> None:
    predictor = FakePredictor(status="insufficient_evidence")
    async with running(components(predictor=predictor)) as run:
        english = await run.service.analyze(CaseRequest(text="cough"))
        korean = await run.service.analyze(CaseRequest(text="기침", language="ko"))
        strange = await run.service.analyze(CaseRequest(text="Where is Paris?"))
    assert english.recommendations[1].startswith("Say when it began")
    assert "Add a chest X-ray if there is one." in english.recommendations, "pneumonia is among the first three"
    assert korean.recommendations[1].startswith("언제 시작되었는지")
    assert strange.recommendations[1].startswith("No symptom was recognised")
    for answer in (english, korean, strange):
        assert 2 <= len(answer.recommendations) <= 5
