"""What an untrained model believes: weights that English suggests, from where training starts."""

from __future__ import annotations

from collections.abc import Mapping

PRIOR: Mapping[str, float] = {
    "g:uncovered": -1.0, "g:overlap": -0.7, "c:exact": 1.0, "c:exact:words": 0.5, "c:nohead": -0.3, "s:coverage": 1.5,
    "s:head": 0.8, "s:bare": -0.5, "c:headcov:b0": 0.6, "c:part": -0.2, "c:spread": -0.2, "g:number": -1.0,
    "d:echo:none": -1.5, "n:fits": 1.0, "s:dominated": -0.7, "op:value": 0.3, "o:named": 0.5, "o:next": 0.5,
    "o:coverage": 1.0, "q:figure:plain": 1.0, "q:count": 1.0, "j:tables:2": -0.5, "j:tables:3": -1.0,
    "j:tables:4": -2.0,
    "j:unmentioned": -0.5, "q:link:and:0": 0.5, "t:gap:far": -0.3, "t:gap:none": -0.7, "q:having": -0.5,
    "q:distinct": -0.3, "o:identifier": -1.5, "q:repeated": -2.0, "q:most": 0.3,
}  # fmt: skip
# Of questions of several collections, whose training questions are few (`shape` and `sense` make these features).
RELATED_PRIOR: Mapping[str, float] = {
    "z:odd:twice_not": -2.5, "z:odd:grouped_figure:distinct": -2.0, "z:odd:grouped_figure:sum": -1.5,
    "z:odd:grouped_figure:avg": -1.5, "z:odd:grouped_figure:max": -1.5, "z:odd:grouped_figure:min": -1.5,
    "z:odd:identifier:sum": -3.0, "z:odd:identifier:avg": -3.0, "z:odd:identifier:max": -1.5,
    "z:odd:identifier:min": -1.5, "z:odd:identifier_compared": -2.0, "z:odd:shown_fixed": -0.8,
    "z:odd:group_fixed": -1.5, "z:odd:same_names": -0.7, "z:odd:head_wanted": -1.0, "z:odd:value_entity": -1.0,
    "z:odd:value_field": -0.5, "z:key:identifier:pick": -1.5, "z:items:0": 1.5, "z:items:2": -1.5,
    "z:items:-2": -1.5, "z:unused": -0.5, "z:num:unused:digits": -1.5, "z:num:having:before:field": -1.0,
    "z:num:having:before:entity": 0.5, "z:num:where:unsaid:field": -1.5, "z:sup:unsaid:pick:max": -2.0,
    "z:sup:unsaid:pick:min": -2.0, "z:sup:unsaid:count:max": -2.0, "z:sup:unsaid:count:min": -2.0,
    "z:sup:unsaid:figure:max": -1.0, "z:sup:unsaid:figure:min": -1.0, "z:sup:max:none": -1.5,
    "z:sup:min:none": -1.5, "z:sup:max:pick:min": -1.0, "z:sup:max:count:min": -1.5, "z:sup:min:pick:max": -1.0,
    "z:sup:min:count:max": -1.5, "z:sup:max:shown:min": -1.5, "z:sup:min:shown:max": -1.5,
    "z:age:young:age:min": 1.5, "z:age:young:age:max": -1.5, "z:age:young:time:max": 1.5,
    "z:age:young:time:min": -1.5, "z:age:old:age:max": 1.5, "z:age:old:age:min": -1.5, "z:age:old:time:min": 1.5,
    "z:age:old:time:max": -1.5, "z:fn:avg:field": -1.0, "z:fn:avg:field:average": 2.0, "z:fn:sum:field": -0.7,
    "z:fn:sum:field:total": 1.2, "z:list:repeated:joined": -0.5, "z:list:distinct:different": 1.0,
    "z:list:distinct:distinct": 1.0, "z:list:distinct:unique": 1.0, "z:list:repeated:different": -2.0,
    "z:list:repeated:distinct": -2.0, "z:ordered": -1.0, "z:ordered:order": 1.5, "z:ordered:sorted": 1.5,
    "z:ordered:alphabetical": 1.0, "z:ordered:descending": 0.5, "z:group": -0.3, "z:group:each": 1.0,
    "z:group:every": 0.7, "z:either:both": -1.0, "z:combine:intersect:both": 1.0, "z:inner:not in": -0.5,
    "z:inner:not in:not": 1.0, "z:inner:not in:no": 1.0, "z:inner:not in:without": 1.0, "z:inner:not in:never": 1.0,
    "z:fn:distinct:field": -0.5, "z:fn:distinct:field:different": 1.5, "z:fn:distinct:field:distinct": 1.5,
    "z:having": -0.3, "d:empty": -1.5,
    "z:combine:except": -0.7, "z:select:listing": 0.7, "z:select:ahead": -0.7,
    "z:from:max:max": 1.0, "z:from:max:min": -1.0, "z:from:min:min": 1.0, "z:from:min:max": -1.0,
    # What `sense` makes.
    "w:avg:unheard": -1.5, "w:sum:unheard": -0.8, "w:or:unheard": -1.0, "w:each:unheard": -0.7,
    "w:different:unheard": -1.5, "w:order:unheard": -1.5, "w:both:unheard": -0.7, "w:count:unheard": -1.0,
    "w:count:unsaid": -1.5, "w:extremes:1": -2.0, "w:extremes:2": -3.0, "w:extremes:-1": -0.5, "w:negations:1": -1.5,
    "w:negations:2": -2.0, "w:negations:-1": -0.7, "w:combined:compared:none": -2.0, "w:part:named": -1.5,
    "w:part:empty": -1.5, "w:value:negation": -1.5, "w:counted:common:different": -2.0, "w:counted:common:apart": -1.0,
    "w:counted:common:plain": -1.0, "w:distincted:common:different": 1.0, "w:distincted:common:apart": -1.0,
    "w:figure:linking": -2.0, "w:of:before:other": -1.5, "w:of:after:other": -1.0, "w:of:before:same": 0.5,
    "w:of:after:same": 0.5, "w:of:meant": -1.0, "w:of:part:before:other": -1.0, "w:of:part:after:other": -0.7,
    "w:of:part:before:same": 0.3, "w:of:part:after:same": 0.3, "w:key:own": 0.5, "w:key:foreign": -1.0,
    "w:listed:shared": -1.5, "w:listed:tables:2": -0.5, "w:listed:tables:3": -1.0, "w:listed:fixed": -1.5,
    "w:count:named": -1.5, "w:number:where:field:named": 0.7, "w:number:where:field:other": -1.0,
    "w:number:having:field": -1.0, "w:number:unused:field": -1.0, "w:number:pick:field": -0.5,
    "w:comparison:unheard": -2.0, "w:year:time:said": 0.7, "w:year:time:unsaid": 0.7, "w:year:other:unsaid": -1.5,
    "w:notyear:time:unsaid": -1.0, "w:number:linking:unsaid": -2.0,
    "w:number:linking:said": -0.5, "w:key:linking": -1.0, "w:key:fits:same": 0.7, "w:key:fits:far": 0.3,
    "w:key:other:far": -0.7, "w:ties:plain:many": -0.7, "w:ties:count:many": -0.5, "w:having:one": -1.5,
    "w:key:shown:beside": 1.5, "w:measure:other": -0.7, "w:key:meant": -1.0,
    "z:items:1": -0.5, "z:items:-1": -0.7, "z:select:in:by": -0.7, "z:key:in:by": 0.7,
}  # fmt: skip
