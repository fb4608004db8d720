"""Simulated surveys and catalogues with known truth."""

from .survey import Survey, SurveySettings, iterate_survey, simulate_survey
from .survey_file import read_truth, write_survey

__all__ = [
    "Survey",
    "SurveySettings",
    "iterate_survey",
    "read_truth",
    "simulate_survey",
    "write_survey",
]
