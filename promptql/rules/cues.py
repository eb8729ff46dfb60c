"""Words of English that point to operations, and which words stand for each other in the names of fields."""

from __future__ import annotations

STOP = frozenset(
    """a about all also am an and any are as at be been being both but by can could did do does each ever every for
    from get give given got had has have having here how i if in into is it its just listed list many me much my name
    named number of off on one only or our out over please show so some such tell than that the their them then there
    these they this those through to under up was we were what when where which who whom whose why will with within
    would you your during same other total first last next after before between more most less least
    different""".split()
)
WEAK = frozenset("a an the of in on at by for to and or s is was be as with from".split())
ASKING = frozenset("what which who whom whose when where how why name list give tell show find identify state".split())

LARGER = ("more than", "greater than", "larger than", "higher than", "bigger than", "over", "above", "exceeds",
          "exceeding", "exceeded", "longer than", "older than", "better than", "taller than", "heavier than", "exceed",
          "larger", "greater", "higher", "bigger", "surpass", "surpassed", "beyond", "upwards of", "in excess of",
          ">")  # fmt: skip
SMALLER = ("less than", "fewer than", "smaller than", "lower than", "under", "below", "shorter than", "younger than",
           "lesser than", "smaller", "lower", "fewer", "cheaper than", "lighter than", "not exceed",
           "beneath", "<")  # fmt: skip
AT_LEAST = ("at least", "minimum of", "no less than", "not less than", "no fewer than", "or more", "or higher",
            "or above", "or greater", "or over", "or older", "or better", ">=")  # fmt: skip
AT_MOST = ("at most", "maximum of", "no more than", "not more than", "up to", "or less", "or fewer", "or lower",
           "or under", "or below", "or younger", "<=")  # fmt: skip
LATER = ("after", "later than", "since", "following", "past", "newer than")
EARLIER = ("before", "prior to", "earlier than", "until", "by the end of")
EXCEPT = ("other than", "not", "except", "besides", "excluding", "isn t", "wasn t", "didn t", "aren t", "doesn t",
          "without", "apart from", "aside from", "never")  # fmt: skip

MAX_WORDS = frozenset(
    """most highest largest biggest greatest longest latest tallest oldest maximum max top best heaviest fastest
    newest deepest richest widest strongest hottest furthest farthest busiest wealthiest upmost""".split()
)
MIN_WORDS = frozenset(
    """least lowest smallest fewest shortest earliest youngest minimum min bottom worst lightest slowest cheapest
    weakest coldest nearest narrowest smallest""".split()
)
# Behind "no" or "not" they compare: "no less than", "not higher than".
COMPARATIVES = frozenset(
    """more less fewer greater larger bigger higher lower smaller longer shorter older younger later earlier heavier
    lighter taller cheaper""".split()
)
TIME_MAX, TIME_MIN = frozenset("latest newest recent youngest".split()), frozenset("earliest oldest".split())

CUES: dict[str, tuple[str, ...]] = {
    "howmany": ("how many",),
    "howmuch": ("how much",),
    "howlong": ("how long",),
    "howold": ("how old",),
    "howmeasure": ("how high", "how tall", "how far", "how fast", "how big", "how large", "how wide", "how deep"),
    "howoften": ("how often", "how many times", "number of times"),
    "numberof": ("number of", "amount of", "numbers of", "tally of"),
    "totalnumber": ("total number", "total amount", "total numbers", "total count"),
    "total": ("total", "sum", "totals", "combined", "altogether", "in all", "together", "overall", "cumulative"),
    "count": ("count", "tally"),
    "average": ("average", "mean", "averaged", "on average"),
    "max": tuple(sorted(MAX_WORDS)),
    "min": tuple(sorted(MIN_WORDS)),
    "first": ("first", "earliest", "top", "oldest"),
    "last": ("last", "latest", "final", "bottom", "most recent"),
    "next": ("next", "after", "following", "below", "followed", "immediately after", "right after", "subsequent"),
    "previous": ("previous", "before", "above", "prior", "preceding", "preceded", "previously"),
    "difference": ("difference", "how many more", "how much more", "how many fewer", "how many less", "how much less",
                   "more than", "how much longer", "how many years", "how much higher", "how much larger",
                   "how much greater", "how many points", "how much taller", "how many days", "how much older"),
    "different": ("different", "distinct", "unique", "various"),
    "each": ("each", "every", "per", "for each", "by"),
    "or": ("or",),
    "and": ("and", "both"),
    "not": EXCEPT,
    "same": ("same", "also", "as well", "as well as", "share", "shares", "shared"),
    "other": ("other", "another", "else", "besides"),
    "than": ("than",),
    "mostoften": ("the most", "most often", "most frequently", "most common", "most times", "most number",
                  "most frequent", "the most number", "greatest number", "highest number", "largest number"),
    "consecutive": ("consecutive", "in a row", "straight"),
    "only": ("only", "just"),
    "once": ("more than once", "at least twice", "multiple", "more than one", "at least two", "twice", "both"),
    "order": ("sorted", "order", "ordered", "sort", "alphabetical", "alphabetically", "descending", "ascending",
              "chronological", "lexicographic"),
}  # fmt: skip

COUNTING = ("howmany", "numberof", "totalnumber", "count", "howoften")  # cues of a number that is asked for

SYNONYMS = tuple(
    frozenset(line.split())
    for line in """nation country nationality countries
    team club squad franchise side
    film movie title picture
    song single track title
    venue stadium location place site ground arena field where
    city town location municipality
    position place rank standing finish placed ranking finished
    party affiliation
    episode title
    opponent against versus rival opposing opposition opponents
    score result outcome
    result outcome happened
    date day when
    time when
    year season when
    school college university institution alma
    attendance crowd attended spectators attendees
    points score pts point scored
    wins won win victories w victory
    losses lost lose l loss defeats
    draws drawn d ties tied
    player name
    manufacturer make maker built builder constructor company made
    writer wrote written author penned
    viewers watched audience
    air aired premiered broadcast debut airing airdate
    population people inhabitants residents
    area size
    height tall elevation altitude high
    length long distance runtime duration
    weight heavy weigh weighs
    age old
    cost price paid
    prize money earnings earned purse winnings
    started start began begin from commenced begins
    ended end until to ends
    born birth dob
    died death dead
    network channel station
    role character part played portrayed
    actor star starring actress
    number no num
    pick selected drafted draft
    state county province region district
    hometown home residence lives from
    owner owned belongs
    type kind sort class category genre
    name called known titled entitled title
    notes comments remarks note
    percentage percent pct
    partner teammate partnered
    coach manager
    album record
    release released
    founded established formed foundation opened founding
    enrollment students enrolled
    nickname mascot
    constituency seat district
    votes vote voted
    rank ranked ranking
    winner won champion winning victor
    runner second
    language speak spoken
    currency money
    race grand prix
    incumbent representative
    premiere debut
    circuit track
    location located where
    career job occupation profession
    engine motor
    elected election
    reign term tenure
    league division
    english translated translation
    ship vessel
    record w-l
    series show program
    gender sex male female
    salary wage income pay earn earns earned earning
    continent region""".splitlines()
)
SYNONYM_GROUPS: dict[str, set[int]] = {}
for _number, _group in enumerate(SYNONYMS):
    for _word in _group:
        SYNONYM_GROUPS.setdefault(_word, set()).add(_number)

PERSON = frozenset(
    """name player driver rider candidate winner director writer coach artist actor president manager champion opponent
    author member incumbent pilot owner person directed written singer actress performer skipper captain host judge
    mayor governor senator representative athlete swimmer nominee contestant king queen prime minister leader names
    winners champions runner producer composer goalkeeper starring jockey trainer editor designer architect
    chairman head""".split()
)
PLACE = frozenset(
    """location venue place city country site stadium hometown county state ground nation town province region arena
    locations district headquarters origin birthplace area territory circuit track home island village river station
    campus field harbour harbor port airport marina warehouse depot address continent""".split()
)
TIME = frozenset(
    """date year time season aired airdate day month released release opened established founded built premiere debut
    born died start end began ended years dates appointment appointed elected term launch launched completed
    commissioned from until to""".split()
)


def related(one: str, other: str) -> bool:
    """Whether two words may stand for each other in a field's name."""
    groups = SYNONYM_GROUPS.get(one)
    return groups is not None and not groups.isdisjoint(SYNONYM_GROUPS.get(other, ()))
