"""Tables of spectroscopic surveys: what each is called, which columns have its labels, its flags.

Each survey is a TOML file in this folder; a new one needs no code. Several releases of one form are
one file with several names.
"""

from .description import SURVEYS, Flag, Survey, load_survey, recognised, survey_names
from .flags import without_flagged

__all__ = [
    "SURVEYS",
    "Flag",
    "Survey",
    "load_survey",
    "recognised",
    "survey_names",
    "without_flagged",
]
