"""Chapter 3's questions: averaged local structure, a straight line, and what it foretells.

Frames are labelled configurations (``stocks``); what they look like becomes tables
(:class:`glasslib.studies.averaged.Recipe`), tables go to :mod:`glasslib.studies.regression`, at the
relaxation time (``one_time``) or at all times (``all_times``), and what took long is kept by
:mod:`glasslib.stored` under the fingerprint of configurations, recipe and code.
"""

from __future__ import annotations

from glasslib.studies.averaged.all_times import (
    Liquid,
    describe_liquid,
    energies_at_rest,
    fingerprint_liquid,
    learn_liquid,
    survey_liquid,
)
from glasslib.studies.averaged.one_time import (
    KINDS,
    NUMBERS,
    SINGLE,
    Survey,
    Tables,
    fingerprint,
    plan,
    survey_public,
)
from glasslib.studies.averaged.recipe import HARD, SOFT, Recipe, thin
from glasslib.studies.averaged.stocks import (
    LEVEL,
    Stock,
    at_one_time,
    load_liquid,
    rest,
    shift,
    take,
    take_frames,
    take_public,
)

__all__ = [
    "HARD",
    "KINDS",
    "LEVEL",
    "Liquid",
    "NUMBERS",
    "Recipe",
    "SINGLE",
    "SOFT",
    "Stock",
    "Survey",
    "Tables",
    "at_one_time",
    "describe_liquid",
    "energies_at_rest",
    "fingerprint",
    "fingerprint_liquid",
    "learn_liquid",
    "load_liquid",
    "plan",
    "rest",
    "shift",
    "survey_liquid",
    "survey_public",
    "take",
    "take_frames",
    "take_public",
    "thin",
]
