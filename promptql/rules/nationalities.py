"""Adjectives of countries and continents, and other names that the same country goes by: "French" for "France"."""

from __future__ import annotations

# Each line: names that stand for the same place in data and in questions; parts of several words are joined by "_".
_PLACES = """africa african africans
asia asian asians
europe european europeans
north_america north_american
south_america south_american
oceania oceanian
america american americans
united_states usa us u_s united_states_of_america american americans america
united_kingdom uk great_britain britain british england english
afghanistan afghan
algeria algerian
argentina argentine argentinian
australia australian australians aussie
austria austrian austrians
bangladesh bangladeshi
belgium belgian belgians
brazil brazilian brazilians
bulgaria bulgarian bulgarians
canada canadian canadians
chile chilean chileans
china chinese
colombia colombian colombians
croatia croatian croatians
cuba cuban cubans
czech_republic czech czechs
denmark danish dane danes
egypt egyptian egyptians
england english
ethiopia ethiopian ethiopians
finland finnish finn finns
france french frenchman
germany german germans
ghana ghanaian
greece greek greeks
hungary hungarian hungarians
iceland icelandic
india indian indians
indonesia indonesian indonesians
iran iranian iranians
iraq iraqi iraqis
ireland irish
israel israeli israelis
italy italian italians
jamaica jamaican jamaicans
japan japanese
kenya kenyan kenyans
mexico mexican mexicans
morocco moroccan
netherlands dutch holland
new_zealand new_zealander
nigeria nigerian nigerians
norway norwegian norwegians
pakistan pakistani
peru peruvian
philippines filipino filipinos philippine
poland polish pole poles
portugal portuguese
romania romanian romanians
russia russian russians
scotland scottish
serbia serbian serbians
slovakia slovak
slovenia slovenian slovene
south_africa south_african
south_korea south_korean korean korea
spain spanish
sweden swedish swede swedes
switzerland swiss
thailand thai
tunisia tunisian
turkey turkish turks
uganda ugandan
ukraine ukrainian ukrainians
venezuela venezuelan
vietnam vietnamese
wales welsh"""

WORDS_MAX = 4  # of a name
_SAME: dict[str, set[str]] = {}
for _line in _PLACES.splitlines():
    _names = [name.replace("_", " ") for name in _line.split()]
    for _name in _names:
        _SAME.setdefault(_name, set()).update(other for other in _names if other != _name)


def same_place(phrase: str) -> list[str]:
    """Other names and adjectives of the place that a folded phrase names, in order; none for any other phrase."""
    return sorted(_SAME.get(phrase, ()))
