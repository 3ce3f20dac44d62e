"""English function words that the matcher and the negation rules know. Data about the language, not about medicine."""

from __future__ import annotations

CONTRACTIONS: dict[str, tuple[str, ...]] = {
    "can't": ("can", "not"),
    "cant": ("can", "not"),
    "cannot": ("can", "not"),
    "won't": ("will", "not"),
    "wont": ("will", "not"),
    "don't": ("do", "not"),
    "dont": ("do", "not"),
    "doesnt": ("does", "not"),
    "didnt": ("did", "not"),
    "havent": ("have", "not"),
    "hasnt": ("has", "not"),
    "hadnt": ("had", "not"),
    "isnt": ("is", "not"),
    "wasnt": ("was", "not"),
    "arent": ("are", "not"),
    "couldnt": ("could", "not"),
    "wouldnt": ("would", "not"),
    "ain't": ("is", "not"),
    "unable": ("can", "not"),
    "i'm": ("i", "am"),
    "im": ("i", "am"),
    "i've": ("i", "have"),
    "ive": ("i", "have"),
    "i'd": ("i", "had"),
    "i'll": ("i", "will"),
    "o'clock": ("oclock",),
}

IRREGULAR: dict[str, str] = {
    "felt": "feel",
    "swollen": "swell",
    "swole": "swell",
    "threw": "throw",
    "thrown": "throw",
    "bled": "bleed",
    "lost": "lose",
    "losing": "lose",
    "broke": "break",
    "broken": "break",
    "fell": "fall",
    "fallen": "fall",
    "shook": "shake",
    "shaken": "shake",
    "bit": "bite",
    "bitten": "bite",
    "stung": "sting",
    "slept": "sleep",
    "woke": "wake",
    "woken": "wake",
    "drank": "drink",
    "drunk": "drink",
    "ate": "eat",
    "eaten": "eat",
    "came": "come",
    "went": "go",
    "gone": "go",
    "goes": "go",
    "ran": "run",
    "lying": "lie",
    "lay": "lie",
    "dying": "die",
    "tore": "tear",
    "torn": "tear",
    "spat": "spit",
    "worse": "worse",
    "feet": "foot",
    "teeth": "tooth",
    "took": "take",
    "taken": "take",
    "swallowed": "swallow",
    "caught": "catch",
    "stuck": "stick",
    "burnt": "burn",
    "drew": "draw",
    "saw": "see",
    "seen": "see",
    "thought": "think",
    "could": "can",
    "babies": "baby",
    "children": "child",
    "shivery": "shiver",
    "achy": "ache",
    "itchy": "itch",
    "wheezy": "wheeze",
}

DROPPED = frozenset(
    ["a", "an", "the", "my", "his", "her", "their", "our", "your", "this", "that", "some", "any", "of", "s", "to"]
)
"""Never part of a form, and passed over freely inside a match."""

SKIPPABLE = frozenset(
    """
    is are am was were be been being has have had having do does did get gets getting got feel feels feeling felt
    very really so quite too just also extremely pretty rather somewhat bit little lot slightly constantly always often
    sometimes suddenly badly severely still now again both all entire whole one either upper lower left right side sided part area region
    middle inner outer severe bad terrible awful horrible constant mild slight sudden intense sharp dull persistent new
    worsening increasing acute chronic recurrent occasional frequent intermittent ongoing recent significant marked
    much more me him it been down into towards through up on at across over near started starting starts become becoming became keep keeps kept around inside in
    """.split()
)
"""May stand between two words of a form, a few at a time; a form may also name them."""

NEGATORS = frozenset(
    [
        "no",
        "not",
        "never",
        "without",
        "denies",
        "denied",
        "deny",
        "denying",
        "neither",
        "nor",
        "none",
        "absent",
        "negative",
    ]
)
