"""What a file is, what xpfit would use of it, and what is wrong with it."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from astropy.table import Table

from ..catalogue import read_catalogue
from ..companion.store import load_companion
from ..data import CoefficientSpace, Spectra
from ..data.hdf5 import open_hdf5
from ..errors import InputError
from ..files import file_of
from ..model.store import load_model
from ..prepare.label_scales import LABEL_SURVEYS, LabelScales
from ..prepare.open import iterate_file
from ..quality import Confidence
from ..quantities import quantity
from ..read import XP_BANDS, read_continuous, read_sampled
from ..read.columns import ASTROMETRY, LABELLED, PHOTOMETRY
from ..read.formats import Format
from ..read.formats.compressed import members, read_head
from ..read.grid import describe, stated_facts
from ..read.joins import id_column
from ..read.kinds import kind_and_format
from ..read.known import known_columns
from ..read.sampled import SAMPLED
from ..read.source_ids import release_of_ids
from ..read.surveys import recognised
from ..read.tables import read_table

MAX_PROBLEMS = 5
"""Problems that are named."""

PURPOSES = {
    "--photometry (prepare, fit, run)": (PHOTOMETRY, ()),
    "--astrometry (prepare, fit, run)": (ASTROMETRY, ("parallax", "parallax_error")),
    "--labels (prepare), --reference (validate, report)": (LABELLED, ("teff", "feh", "logg")),
}
"""What a table can serve for: the columns that are used, and those that must be there."""

UNREADABLE = (InputError, OSError, KeyError, ValueError)


def inspect_file(path: str | os.PathLike) -> list[str]:
    """Say what a file is, what would be used of it and what is wrong with it.

    Parameters
    ----------
    path : path-like
        Of any kind that xpfit reads or writes.

    Returns
    -------
    list of str
        Lines for people. Warnings of the readers are among them.

    Raises
    ------
    FileNotFoundError, InputError
        If there is no such file, or it is nothing that xpfit can read.
    """
    path = Path(path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lines = list(_lines(path))
    said = dict.fromkeys(str(warning.message) for warning in caught)
    return lines + [f"warning: {' '.join(text.split())}" for text in said]


def _lines(path: Path) -> Iterator[str]:
    """Lines on a file or a directory."""
    if path.is_dir():
        yield from _catalogue(path)
        return
    names = members(path)
    if names:
        yield f"a zip archive of {len(names)} files, each of which can be given as FILE[NAME]:"
        yield from (f"  {name}" for name in names)
        return
    kind, form = kind_and_format(path)
    if form.name == "hdf5" and (name := _own_format(path)):
        yield from OWN_FORMATS[name](path)
    elif kind in ("continuous", "sampled") and _has_spectra(path, form, kind):
        yield from (_continuous if kind == "continuous" else _sampled)(path, form)
    elif form.name == "parquet":
        yield from _first_that_reads(path, _prepared, _table)
    elif form.name == "fits":
        yield from _first_that_reads(path, _library, _table)
    else:
        yield from _table(path)


def _own_format(path: Path) -> str:
    """What an HDF5 file that xpfit has written says that it is; empty for others."""
    with open_hdf5(file_of(path)) as file:
        name = file.attrs.get("format", "")
    return str(name) if name in OWN_FORMATS else ""


def _first_that_reads(path: Path, *readers: Callable[[Path], Iterator[str]]) -> list[str]:
    """Lines of the first reader that can read a file."""
    for reader in readers[:-1]:
        try:
            return list(reader(path))
        except UNREADABLE:
            continue
    return list(readers[-1](path))


def _has_spectra(path: Path, form: Format, kind: str) -> bool:
    """Whether the columns of a file are those of its kind of spectra."""
    names = {name.lower() for name in form.column_names(path, read_head(path))}
    return names >= ({"bp_coefficients"} if kind == "continuous" else {"flux", "flux_error"})


def _continuous(path: Path, form: Format) -> Iterator[str]:
    """XP continuous spectra."""
    n, sizes, absent, problems, release = 0, {}, dict.fromkeys(XP_BANDS, 0), [], ""
    for table in read_continuous(path, form=form):
        release = table.meta["release"]
        for band in XP_BANDS:
            values = np.asarray(table[f"{band}_coefficients"])
            sizes[band] = max(sizes.get(band, 0), values.shape[1])
            absent[band] += int(np.sum(~np.isfinite(values).any(axis=1)))
        problems += _problems(table, n)
        n += len(table)
    yield f"XP continuous spectra of Gaia {release} ({form.name}): {n} sources"
    yield f"{sizes['bp']} + {sizes['rp']} coefficients in BP and RP, with correlations"
    for band, missing in absent.items():
        if missing:
            yield f"without {band.upper()}: {missing} sources (fitted with the other band)"
    yield "serves for: fit, run, prepare, sample, plot (both observation spaces)"
    yield "not in it: J, H, Ks (--photometry), parallaxes (--astrometry), labels (--labels)"
    yield from _shown(problems)


def _sampled(path: Path, form: Format) -> Iterator[str]:
    """XP sampled spectra."""
    facts, n, problems, grid = stated_facts(path, form, SAMPLED), 0, [], np.empty(0)
    release = ""
    for table in read_sampled(path, form=form):
        grid, release = table.meta["wavelength"], table.meta["release"]
        problems += _problems(table, n)
        n += len(table)
    stated = "as the file states" if facts.sampling is not None else "not stated in the file"
    yield f"XP sampled spectra of Gaia {release} ({form.name}): {n} sources"
    yield f"wavelengths {describe(grid)} ({stated})"
    unit = facts.units.get("flux")
    yield f"flux in {unit}" if unit else "unit of flux not stated, W m-2 nm-1 assumed"
    yield "serves for: fit, run, prepare, sample, plot (sampled space only; errors uncorrelated)"
    yield "not in it: J, H, Ks (--photometry), parallaxes (--astrometry), labels (--labels)"
    yield from _shown(problems)


def _problems(table: Table, before: int) -> list[str]:
    """What is wrong with rows, by number."""
    return [
        problem if problem.startswith("row ") else f"row {before + i + 1}: {problem}"
        for i, problem in enumerate(table["problem"])
        if problem
    ]


def _shown(problems: list[str]) -> Iterator[str]:
    """The first problems."""
    if problems:
        yield f"{len(problems)} rows cannot be used: " + "; ".join(problems[:MAX_PROBLEMS])


def _library(path: Path) -> Iterator[str]:
    """The APOGEE-XP library, or a part of it."""
    (spectra,) = iterate_file(path)
    yield f"the APOGEE-XP library, or a part of it: {len(spectra)} stars"
    yield from _of_spectra(spectra)


def _prepared(path: Path) -> Iterator[str]:
    """Prepared spectra."""
    n, first, with_parallax, surveys = 0, None, 0, Counter()
    for part in iterate_file(path):
        first = part if first is None else first
        n += len(part)
        surveys.update(part.gaia.get(LABEL_SURVEYS, np.empty(0)).astype(int).tolist())
        with_parallax += int(np.isfinite(part.parallax_err).sum())
    yield f"prepared spectra: {n} stars, {with_parallax} with a parallax"
    if first is not None:
        yield from _of_spectra(first)
        yield from _of_surveys(first, surveys)


def _of_surveys(spectra: Spectra, surveys: Counter) -> Iterator[str]:
    """How the labels of several surveys were combined, and how many stars each has."""
    if spectra.preparation.label_scales:
        scales = LabelScales.from_dict(spectra.preparation.label_scales)
        for i, name in enumerate(scales.surveys):
            n, alone = sum(n for bits, n in surveys.items() if bits >> i & 1), surveys[1 << i]
            yield f"{n} stars have labels of {name}, {alone} of it alone"
        yield from scales.lines()


def _of_spectra(spectra: Spectra) -> Iterator[str]:
    """Space and labels of spectra."""
    yield f"of Gaia {spectra.release}, in {spectra.space!r}"
    labels = ", ".join(spectra.labels)
    yield f"labels: {labels}" if labels else "no labels: cannot be trained on"
    spaces = "coefficient" if isinstance(spectra.space, CoefficientSpace) else "sampled"
    commands = "fit, run, sample, plot" + (", train, train-confidence" if labels else "")
    yield f"serves for: {commands} (in {spaces} space)"


def _model(path: Path) -> Iterator[str]:
    """A model."""
    model = load_model(path)
    yield f"a model: {model!r}"
    yield f"trained on spectra of Gaia {model.release}"
    ranges = []
    for name, (low, high) in zip(model.label_names, model.label_ranges, strict=True):
        known = quantity(name)
        low, high = (f"{known.factor * x:.{known.digits}f}" for x in (low, high))
        ranges.append(f"{name} {low} to {high} {known.unit}".strip())
    yield f"trained at {', '.join(ranges)}"
    yield "serves for: --model of all commands"


def _classifiers(path: Path) -> Iterator[str]:
    """Confidence classifiers."""
    confidence = Confidence.load(path)
    yield f"confidence classifiers for the fits of model {confidence.model_id[:12]}"
    yield "serves for: --confidence of fit and run"


def _companion(path: Path) -> Iterator[str]:
    """A companion."""
    companion = load_companion(path)
    yield f"a companion of kind {companion.kind}, in {companion.space!r}"
    yield "serves for: --companion of fit and run, xpfit companion"


def _catalogue(path: Path) -> Iterator[str]:
    """A catalogue."""
    table = read_catalogue(path)
    if "quality_flags" not in table.colnames:
        raise InputError(f"{path}: not a catalogue of xpfit")
    yield f"a catalogue: {len(table)} stars, {len(table.colnames)} columns"
    if model := table.meta.get("MODELID"):
        yield f"made with model {str(model)[:12]}, {table.meta.get('CREATOR', '')}"
    yield "serves for: select, validate, report, plot, convert"


def _table(path: Path) -> Iterator[str]:
    """Any table: what its columns would be used as."""
    table = read_table(path, (*PHOTOMETRY, *ASTROMETRY, *LABELLED))
    if "quality_flags" in table.colnames and "stellar_params_est" in table.colnames:
        yield from _catalogue(path)
        return
    if not len(table):
        raise InputError(f"{path}: no spectra, catalogue, model or table that xpfit knows")
    yield f"a table: {len(table)} rows, {len(table.colnames)} columns"
    if survey := recognised(table.colnames):
        yield f"the columns are those of {survey.title} (--survey {survey.name})"
    key = id_column(table, str(path))
    yield (
        f"source ids: {key}{_of_release(table, key)}"
        if key
        else "no source ids of Gaia: joined by position, if at all"
    )
    used = {key}
    for purpose, (wanted, required) in PURPOSES.items():
        try:
            known, uses = known_columns(table, wanted, str(path))
        except InputError as error:
            yield f"{purpose}: {error}"
            continue
        used |= {use.column for use in uses}
        lacking = [name for name in required if name not in known]
        if uses and not lacking:
            yield f"serves for {purpose}:"
            yield from (f"  {use}" for use in uses)
        elif uses:
            yield f"not for {purpose}: no column for {', '.join(lacking)}"
    unused = [name for name in table.colnames if name not in used]
    if unused:
        yield f"not used: {', '.join(unused)}"


def _of_release(table: Table, key: str) -> str:
    """Data release of ids, where something tells it."""
    release = release_of_ids(table, key)
    return f" (of Gaia {release})" if release else ""


OWN_FORMATS: dict[str, Callable[[Path], Iterator[str]]] = {
    "xpfit-spectra": _prepared,
    "xpfit-model": _model,
    "xpfit-confidence": _classifiers,
    "xpfit-companion": _companion,
    "xpfit-catalogue": _catalogue,
}
"""By what HDF5 files that xpfit has written say that they are."""
