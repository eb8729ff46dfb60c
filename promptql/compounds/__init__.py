"""Questions made of several: shares, differences and comparisons, each part planned by itself and put together."""

from promptql.compounds.planning import Asking, Read, plan_compound
from promptql.compounds.retelling import retold

__all__ = ["Asking", "Read", "plan_compound", "retold"]
