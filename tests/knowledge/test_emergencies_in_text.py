"""Emergencies in the words of bystanders, patients and notes: how high the answer must be, and what must stay low."""

from __future__ import annotations

import pytest

from app.knowledge.base import KnowledgeBase

HIGH = [
    "2살 아기가 커피포트를 쏟아서 가슴이랑 배에 다 데었어요",
    "얼굴에 끓는 기름이 튀어서 화상을 입었어요",
    "boiling water scald on my 4 year old's arm",
    "burns to both hands and face after a fire",
    "8개월 아기가 다리를 배 쪽으로 오므리면서 자지러지게 울다가 멀쩡해지기를 반복해요",
    "10 month old, screams every 15 minutes and draws his legs up",
    "baby passed red currant jelly stool",
    "피부가 까맣게 죽어가고 열이 39도예요",
    "redness spreading by the hour up my leg and I have a fever",
    "다리가 갑자기 너무 아프고 창백해요, 발등에 맥이 안 잡혀요",
    "my foot turned pale and cold and I can't move my toes",
    "니트로글리세린을 먹어도 가슴 통증이 안 가라앉아요",
    "nitro no longer relieves my chest pain",
    "생후 두 달 아기가 38.2도예요",
    "my 5 week old has a temp of 100.8",
    "양쪽 다리에 힘이 빠지고 대소변을 못 가려요",
    "legs getting weaker and I have lost control of my bowels",
    "임테기 양성인데 피가 나오고 배가 아파요",
    "my period is 2 weeks late and I have one-sided pelvic pain and spotting",
    "can't swallow my own saliva",
    "침도 못 삼키고 목이 너무 아파요",
    "고압 전선에 닿았어요",
    "oven cleaner sprayed into my eyes",
    "산에서 뱀한테 발목을 물렸어요",
    "백혈병 치료 중 고열",
    "항암 중인데 오한이 나고 춥고 떨려요",
    "sudden pain in one testicle woke me up",
    "뼈가 살 밖으로 튀어나왔어요",
    "cut off my fingertip with a saw",
    "아기가 8시간째 소변을 안 보고 눈이 쑥 들어갔어요",
    "식구들이 다 머리가 아프고 토해요, 보일러를 틀고 잤어요",
    "whole family has headaches and nausea, the furnace is old",
    "내가 없어지는 게 모두에게 나을 것 같아요",
    "I wish I wouldn't wake up in the morning",
    "he had a fit and still hasn't come round",
]
CRITICAL = [
    "불이 나서 연기를 많이 마셨어요. 목소리가 쉬었어요",
    "pain way out of proportion to how it looks, skin turning purple and black",
    "동공이 바늘구멍만 하고 숨을 느리게 쉬어요",
    "he took oxycodone and now his breathing is slow and lips are blue",
    "탯줄이 질 밖으로 보여요",
    "my waters broke and I can see the umbilical cord coming out",
    "사탕이 목에 걸렸는데 말을 못 해요",
    "he is choking on a piece of meat and can't speak",
    "애 낳고 나서 피가 멈추질 않고 패드를 30분마다 갈아요",
    "gave birth yesterday and soaking a pad every half hour",
    "부신기능저하증인데 스테로이드를 며칠 못 먹고 토하고 쓰러질 것 같아요",
    "Addison's disease, vomiting and can't keep my steroids down, feel faint",
    "소변 감염이라더니 오한에 덜덜 떨리고 정신이 흐릿해요",
    "headache that peaked within a minute",
    "새까만 변을 보고 쓰러졌어요",
    "혈당이 너무 높고 정신이 흐려요",
    "type 1 diabetic, vomiting, ketones high",
    "천식인데 숨이 차서 말을 잇지 못해요",
    "asthma attack, can't finish a sentence",
    "경련을 20분째 하고 있어요",
    "back to back seizures without waking",
    "임신 중독증이라더니 경련을 했어요",
    "his mouth droops and he can't lift his arm",
]
QUIET = [
    "다리미에 손가락을 살짝 데었어요",
    "아기가 밤에 자꾸 깨서 울어요",
    "생선 가시가 목에 걸린 것 같아요",
    "출산한 지 3주 됐는데 손목이 아파요",
    "임신 8주인데 입덧으로 토해요",
    "아버지가 심근경색으로 돌아가셨어요. 저는 감기예요",
    "형이 간질이 있어요. 저는 두통약 타러 왔어요",
    "의식 소실이나 경련은 없었어요",
    "손발이 차고 소화가 안 돼요",
    "무릎에 멍이 들어 보라색이에요",
    "눈에 먼지가 들어갔어요",
    "온 가족이 장염이에요. 저도 설사해요",
    "가려워서 죽을 것 같아요",
    "my baby drools a lot, teething",
    "fish bone feels stuck in my throat but I can swallow fine",
    "I had a seizure as a child; now just a sore throat",
    "no weakness, no slurred speech, no facial droop",
    "whole family has colds, I have a runny nose",
    "I take codeine for my back and I'm constipated",
    "I stopped my steroid cream and the eczema is back",
    "feeling down since the breakup, no suicidal thoughts",
    "my blood sugar was 130 this morning",
]


def _floors(knowledge: KnowledgeBase, text: str) -> set[str]:
    flags = knowledge.red_flags(knowledge.extract_findings(text), knowledge.extract_patient(text))
    return {flag.floor for flag in flags}


@pytest.mark.parametrize("text", HIGH)
def test_at_least_high(knowledge: KnowledgeBase, text: str) -> None:
    assert _floors(knowledge, text) & {"high", "critical"}


@pytest.mark.parametrize("text", CRITICAL)
def test_critical(knowledge: KnowledgeBase, text: str) -> None:
    assert "critical" in _floors(knowledge, text)


@pytest.mark.parametrize("text", QUIET)
def test_everyday_complaints_raise_nothing(knowledge: KnowledgeBase, text: str) -> None:
    assert not _floors(knowledge, text)
