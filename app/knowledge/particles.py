"""Korean function words that the matcher and the negation rules know. Data about the language, not about medicine."""

from __future__ import annotations

from app.knowledge.words import words

PARTICLES = words(
    """
    이 가 은 는 을 를 도 에 의 만 로 으로 에서 에는 에도 에서는 에서도 까지 까지도 부터 이나 나
    이랑 랑 과 와 하고 쪽으로 으로도 로도 마저 조차 들이 들도 들은 들 에게 께서 인데 이고 이며
    일때 일 엔 에선
    """
)

EXTENDERS = words(
    """
    쪽 부위 부분 한가운데 가운데 안쪽 바깥쪽 주변 주위 근처 전체 전체적 전반 한쪽 양쪽 양측 왼쪽
    오른쪽 우측 좌측 속 안 밑 아래 위 위쪽 아래쪽 뒤쪽 앞쪽 끝
    """
)
"""Nouns of place that may stand after a noun: 가슴 *한가운데*가 아파요."""

ADVERBS = words(
    """
    너무 너무너무 많이 아주 매우 자꾸 자꾸만 계속 계속해서 조금 조금씩 좀 쫌 심하게 심한 갑자기
    갑작스럽게 갑작스런 갑작스러운 약간 정말 진짜 엄청 엄청나게 굉장히 더 더욱 가끔 가끔씩 자주 막
    몹시 꽤 살짝 되게 무척 상당히 점점 점차 확 쭉 다시 또 수시로 하루종일 종일 밤새 밤에 밤에만
    밤마다 아침에 아침마다 낮에 저녁에 새벽에 오늘 어제 어제부터 오늘부터 아침부터 며칠째
    며칠전부터 최근 최근에 요즘 하도 별로 전혀 무지 극심한 극심하게 지속적으로 지속적인 반복적으로
    반복적인 반복되는 간헐적으로 간헐적인 경미한 미세한 은근히 은근하게 뻐근하게 날카롭게 날카로운
    둔하게 둔한 찌르듯이 찌르는듯이 꽉 뚝 팍 통증이 통증도 통증은 아픔이 쥐어짜듯이 쥐어짜듯 콕콕
    빨갛게 벌겋게 퉁퉁 울퉁불퉁 구불구불 불룩하게
    쿡쿡 쿵쿵 욱신욱신 지끈지끈 찌릿찌릿 따끔따끔 화끈화끈 살살 슬슬 종종 때때로 이따금 이따금씩
    항상 늘 줄곧 내내 완전 완전히 다 온통 여기저기 군데군데 왼쪽 오른쪽 양쪽 한쪽 우측 좌측 양측
    좌우 새로 처음 처음으로 유난히 유독 도 한번씩 한두번 여러번 몇번 몇차례 수차례 크게 깊게 깊이
    제대로 잘 거의 전반적으로 전체적으로 급격히 급격하게 서서히 천천히 빠르게 빨리 생긴 생기는
    동반한 동반된 아직 아직도 지금 지금도 현재 현재도 가만히있어도 움직일때 누르면 만지면 걸을때
    걸으면 숨쉴때 숨을쉴때 기침할때 밥먹고 먹으면 식후 식후에 공복에 일어날때 일어서면 며칠간 하루에
    하루에도 몇일째 이틀째 사흘째 일주일째 열흘째 한달째 이렇게 그렇게 이상하게 괜히 아무이유없이
    이유없이 특별한이유없이
    """
)
"""May stand between two words of a form, written without spaces."""

CONNECTORS = words(
    """
    부터 에서 는데 은데 인데 면서 하고 니다 어요 해요 아요 에요 예요 이고 다가 지만 려고 그리고
    또는 및 이나 거나 고 며 서 요
    """
)
"""Endings after which a new word may start without a space, in text typed without spaces."""

PREFIXES = words("왼쪽 오른쪽 양쪽 한쪽 우측 좌측 양측 심한 극심한 급성 만성 경한 경미한 중증 앞 윗 아랫 뒷 옆 상 하")

NOUN_TAILS = words(
    """
    이 가 은 는 을 를 도 에 의 만 로 으로 과 와 랑 라서 라고 라는 래요 나 하 해 했 한 할 함 합 증 감 있 없 났 난 날
    생 호소 발생 동반 및 또 때문 같 인 일 입 였 예 까지 부터 마저 처럼 보다 기 받 느 들 악화 지속
    반복 증상 증세 소견 부위 안 못 올 오 왔 온 터 돋 되 돼 됐 된 됨 약간 심하 심해 심했 심한 심합
    호전 양상 여부 병력 과거력 력 관련 확인 관찰 뿐 테스트 반응 검사
    """
)
"""How a word goes on after a short noun that is used as a noun: 열*이*, 열*나*, but not 열*쇠*."""

# --------------------------------------------------------------------------- negation (regular expressions)
NEGATION_ADVERBS = words(
    r"""
    전혀 별로 딱히 특별히 특별한 따로 아직까지 아직 현재는 현재 지금은 지금 거의 크게 그다지 이제는
    하나도 이제 오늘은 오늘 최근에는 최근에 최근 평소에는 평소 절대 한\s?번도 모두 다 둘\s?다 확실히 분명히
    뚜렷한 뚜렷하게 의미있는 동반되는 동반 더\s?이상 또한 역시 같은 등의 등은 등도 등
    """
)
"""May stand between a noun and what denies it."""

TAIL_NOUNS = words(
    """
    데 생각 마음 의도 계획 충동 시도 온 사실 이력 사용력 노출력 접촉력 증상 증세 느낌 감각 감 통증 소견
    병력 과거력 기왕력 가족력 력 병 질환 지병 같은 경험 경력 적 일 것 거 건 게 현상 기운 기미 발생 변화 문제 진단
    치료 호소 동반 양상 징후 상태 습관 편 하는 나는 있는 되는 생기는 나거나 난 한 했던 있던 받은
    정도 정도까지 테스트기에서 테스트기 테스트에서 테스트 반응검사 반응 검사에서 검사상 검사 키트에서 키트 결과
    """
)
"""Nouns (and verbs that lead to them) that may follow a finding before it is denied: 아픈 *적*은 없어요."""

TAIL_PARTICLES = words("이나 에는 에도 까지는 까지도 까지 이 가 은 는 을 를 도 의 에 나 만")

UNCEASING = words(
    """
    없어지 없어 멈추 멈출 멎 그치 그칠 낫 나아 좋아 가라앉 떨어지 가시 줄 사라 호전 끊 빠지 심하
    심해 크 풀리 풀어 해결 내리 내려가 조절 회복 완화 차도 안정 참 견디 견딜 잡히 듣 개선
    """
)
"""Verbs of ending or easing: denied, they say that the finding is still there (기침이 멈추지 않아요)."""
