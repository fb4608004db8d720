"""Simulated surveys and catalogues with known truth."""

from .survey import Survey, SurveySettings, read_truth, simulate_survey, write_survey

__all__ = ["Survey", "SurveySettings", "read_truth", "simulate_survey", "write_survey"]
