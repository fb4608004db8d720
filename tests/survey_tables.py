"""Small tables of the form that each survey has: names, missing values, flags, repeated stars."""

import numpy as np
from astropy.table import MaskedColumn, Table

from xpfit.read.surveys import SURVEYS

N = 6
GOOD, FLAGGED, MISSING, FAINTER, BRIGHTER, ALSO_GOOD = range(N)
"""Rows: a good star, one with a bad flag, one without Teff, a star twice, and another good one."""

USED = [GOOD, BRIGHTER, ALSO_GOOD]

IDS = 2**60 + np.array([1, 2, 3, 4, 4, 5])

VALUES = {
    "source_id": IDS,
    "ra": 80.0 + np.array([0, 1, 2, 3, 3, 4]),
    "dec": 28.0 + np.array([0, 1, 2, 3, 3, 4]),
    "snr": np.array([60.0, 60, 60, 50, 90, 60]),
    "teff": 5000.0 + 100.0 * np.arange(N),
    "teff_err": np.full(N, 40.0),
    "feh": -0.1 * np.arange(N),
    "feh_err": np.full(N, 0.05),
    "logg": np.full(N, 4.1),
    "logg_err": np.full(N, 0.1),
    "alpha_m": np.full(N, 0.05),
    "alpha_m_err": np.full(N, 0.02),
    "c_fe": np.full(N, -0.05),
    "c_fe_err": np.full(N, 0.03),
    "n_fe": np.full(N, 0.2),
    "n_fe_err": np.full(N, 0.04),
}


def survey_table(name, missing="own"):
    """Rows of a survey's table; `missing` is "own" (as the survey writes it) or "masked"."""
    survey = SURVEYS[name]
    table = Table()
    for ours, column in {**survey.columns, **survey.optional}.items():
        table[column] = VALUES[ours]
    for column in survey.kept:
        table[column] = VALUES["snr"]
    for column in survey.marks:
        table[column] = [f"{column}{i}" for i in range(N)] if column == "planid" else np.arange(N)
    if survey.other_ids:
        table[survey.other_ids] = IDS + 7
    for flag in survey.flags:
        bad = 1 << next(iter(flag.bad.values())) if flag.bad else 1
        table[flag.column] = np.where(np.arange(N) == FLAGGED, bad, 0)
    teff = survey.columns["teff"]
    if missing == "masked":
        table[teff] = MaskedColumn(table[teff], mask=np.arange(N) == MISSING)
    else:
        table[teff][MISSING] = -9999.0 if survey.missing == "-9999" else np.nan
    table["other"] = np.zeros(N)
    return table


def with_texts(table, survey):
    """The same with ids and flags as byte strings."""
    names = [flag.column for flag in survey.flags]
    if "source_id" in survey.columns:
        names.append(survey.columns["source_id"])
    for name in names:
        table[name] = np.array([str(value).encode() for value in table[name]])
    return table


def with_words(table, survey):
    """The same with flags as truth values, or as names of bits."""
    for flag in survey.flags:
        bad = np.asarray(table[flag.column]) != 0
        if flag.bad:
            table[flag.column] = np.where(bad, f"TEFF_WARN,{next(iter(flag.bad))}", "0")
        else:
            table[flag.column] = bad
    return table


def write_survey_table(name, form, path):
    """Write a table in one of `FORMS`; returns its file."""
    survey = SURVEYS[name]
    if form == "fits":
        file = path / "t.fits"
        survey_table(name).write(file)
    elif form == "fits, byte strings":
        file = path / "t.fits"
        with_texts(survey_table(name), survey).write(file)
    elif form == "votable, masked":
        file = path / "t.xml"
        survey_table(name, "masked").write(file, format="votable")
    elif form == "csv":
        file = path / "t.csv"
        survey_table(name).write(file)
    elif form == "csv, masked, upper case":
        file = path / "t.csv"
        table = survey_table(name, "masked")
        table.rename_columns(table.colnames, [column.upper() for column in table.colnames])
        table.write(file)
    else:
        file = path / "t.ecsv"
        with_words(survey_table(name), survey).write(file)
    return file


FORMS = ("fits", "fits, byte strings", "votable, masked", "csv", "csv, masked, upper case",
         "ecsv, flags as words")  # fmt: skip
