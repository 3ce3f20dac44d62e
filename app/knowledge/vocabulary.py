"""English function words that the matcher and the negation rules know. Data about the language, not about medicine."""

from __future__ import annotations

from app.knowledge.words import words

DROPPED = frozenset(words("a an the my his her their our your this that some any of s to"))
"""Never part of a form, and passed over freely inside a match."""

AUXILIARIES = frozenset(words("is are am was were be been being has have had having do does did"))
"""Passed over freely inside a match; part of a form only where they begin it ("had a fall", "am weak")."""

SKIPPABLE = frozenset(
    words(
        """
        get gets getting got feel feels feeling felt look looks looked looking seem seems seemed appear appears
        become becoming became keep keeps kept start started starting starts
        very really so quite too just also extremely pretty rather somewhat bit little lot slightly much more
        constantly always often sometimes suddenly badly severely still now again
        both all entire whole one either upper lower left right l r lt rt side sided part area region middle inner outer
        severe bad terrible awful horrible constant mild slight sudden intense sharp dull persistent new
        worsening increasing acute chronic recurrent occasional frequent intermittent ongoing recent significant
        marked me him it in inside on at into across over near around down up towards through
        """
    )
)
"""May stand between two words of a form, a few at a time; a form may also name them."""

NEGATORS = frozenset(
    words("no not non never without denies denied deny denying neither nor none nil absent negative"),
)
HARDLY = frozenset(words("hardly barely scarcely"))
"""Negators before "any" alone: "hardly any cough", but not "hardly sleeping"."""

NOTHING_DOES = frozenset(words("is was hurts hurt feels felt looks aches ached itches burns stings swelled bled"))
NOTHING_HELPS = frozenset(
    words(
        """
        helping working easing relieving touching stopping making taking settling better staying going coming like
        worse as more
        """
    )
)
"""After "nothing", what denies a finding and, behind its copula, what denies none: nothing is helping my headache."""

_CONTRACTED_NOT = words(
    """
    don't dont doesn't doesnt didn't didnt haven't havent hasn't hasnt hadn't hadnt isn't isnt wasn't wasnt aren't
    arent weren't werent couldn't couldnt wouldn't wouldnt shouldn't shouldnt
    """
)

CONTRACTIONS: dict[str, tuple[str, ...]] = {
    **{word: (word.replace("'", "").removesuffix("nt"), "not") for word in _CONTRACTED_NOT},
    **dict.fromkeys(words("can't cant cannot unable"), ("can", "not")),
    **dict.fromkeys(words("won't wont"), ("will", "not")),
    "ain't": ("is", "not"),
    **dict.fromkeys(words("i'm im"), ("i", "am")),
    **dict.fromkeys(words("i've ive"), ("i", "have")),
    "i'd": ("i", "had"),
    "i'll": ("i", "will"),
}

_FAMILIES = {
    "be": "is are am was were been being",
    "have": "has had having",
    "do": "does did",
    "can": "could",
    "feel": "felt",
    "swell": "swollen swole",
    "throw": "threw thrown",
    "bleed": "bled",
    "lose": "lost losing",
    "break": "broke broken",
    "fall": "fell fallen",
    "shake": "shook shaken",
    "bite": "bit bitten",
    "sting": "stung",
    "sleep": "slept",
    "wake": "woke woken",
    "drink": "drank drunk",
    "eat": "ate eaten",
    "come": "came",
    "go": "went gone goes going",
    "run": "ran",
    "lie": "lying lay",
    "die": "dying",
    "tear": "tore torn",
    "spit": "spat",
    "foot": "feet",
    "tooth": "teeth",
    "take": "took taken",
    "catch": "caught",
    "stick": "stuck",
    "burn": "burnt",
    "draw": "drew",
    "see": "saw seen",
    "think": "thought",
    "begin": "began begun",
    "baby": "babies",
    "child": "children",
    "shiver": "shivery",
    "ache": "achy",
    "itch": "itchy",
    "wheeze": "wheezy",
    "soress": "sores",  # lesions, apart from what is sore
    "abdominal": "abd abdo",
    "right": "rt r",
    "left": "lt l",
    "pee": "wee weed peed weeing",
    "stool": "poo poos poop poops",
    "belly": "tummy tum",
    "bottom": "bum",
    "scaress": "scare scares scared scary",  # apart from scars
    "buttock": "butt butts buttocks",  # apart from but
    "gripess": "gripe gripes griping gripey",  # apart from a grip
    "blindss": "blinds",  # of a window
    "pantss": "pants",  # the clothes
    "spottingss": "spotting",  # of blood, apart from one spot
    "lacess": "lace laces",  # apart from lac, a laceration
    "aidss": "aids",  # the illness, apart from a hearing aid
    "hissess": "hiss hissing hisses",  # apart from his
    "soboess": "soboe",  # short of breath on exertion, apart from SOB
    "hivess": "hive hives",  # apart from HIV, which loses no ending
    "bumpedd": "bumped bumping",  # knocked, apart from bumps on the skin
    "bangingg": "banging",  # of a head that aches, apart from one that was banged
}

IRREGULAR: dict[str, str] = {form: word for word, forms in _FAMILIES.items() for form in words(forms)}
"""Inflected form -> the word whose stem it shares."""

ABBREVIATED = frozenset(words("abd lt rt lac hx sx resp approx dr vs"))
"""A full stop after these does not end a sentence."""

CHART_HEADS = frozenset(
    words("pain discomfort swelling bleeding burn numbness weakness pressure tenderness edema retention sensory")
)
"""A text that begins with one of these and a comma names the place next."""

# --------------------------------------------------------------------------- negation
TERMINATORS = frozenset(
    words(
        """
        but however although though except yet because since while whereas despite besides apart if then so which
        until unless only due
        """
    )
)
"""End the scope of a negator wherever they stand."""

RESTARTS = frozenset(
    words(
        """
        the reduced decreased raised
        i my he she it there we patient pt has have had feel feels reports complains presents developed now
        severe bad terrible constant persistent worsening mild some positive also started woke came everything something
        been on just
        """
    )
)
"""End the scope of a negator after a comma or "and": something new is being said."""

ASKING = frozenset(words("do did does have has had am is are was were think believe told"))
"""Before "i", these show that the negator still rules: "nor do I have fever", "I don't think I have a fever"."""

LIST_NEGATORS = frozenset(words("no never without denies denied deny denying neither nor none nil negative absent"))
LIST_VERBS = frozenset(
    words(
        """
        have had having feel feeling felt notice noticed experience experienced experiencing get got suffer report
        any think
        """
    )
)
"""After "not", these open a scope that runs across commas."""

INERT_AFTER: dict[str, frozenset[str]] = {
    "not": frozenset(
        words(
            """
            only just sure able certain know known stop stopped stopping go going gone better improve improved improving
            help helped helping helps work working resolve resolved resolving subside subsided subsiding ease easing
            remember tell disappear disappearing disappeared settle settling let respond responding
            """
        )
    ),
    "no": frozenset(
        words(
            """
            relief improvement better idea doubt matter change help wonder response different reason apparent obvious
            """
        )
    ),
    "without": frozenset(
        words(
            """
            relief help improvement treatment reason cause warning effort exertion success medication apparent obvious
            """
        )
    ),
    "never": frozenset(words("such go goes went stop stops stopped ends ended end")),
}
"""Negator -> words that it denies without denying a finding: "it won't stop", "not only", "no relief"."""

PASSED = frozenset(words("really quite a the any my been"))
MODALS = frozenset(words("can will would"))
COMPARING = frozenset(words("such like this worse"))
TROUBLES = frozenset(words("problem problems issue issues trouble difficulty difficulties"))
DENIED_AFTER = frozenset(words("absent negative denied none resolved gone disappeared subsided normal"))
TURNED = frozenset(
    words(
        """
        hard firm solid red blue black purple white grey gray pale yellow green brown dark cold hot numb stiff dead
        bad worse septic soft thick hoarse nasal quiet crusty scaly flaky puffy weak floppy limp right straight up
        from to into down across
        """
    )
)
"""After "gone", what became of something that is still there."""
COPULAS = frozenset(words("is are was were has have had been be now also all completely already totally both"))
TESTS = frozenset(
    words("test tests kit screen swab strip result results and it they that came come back turned out yesterday")
)
"""May stand between what was tested for and its being negative."""
