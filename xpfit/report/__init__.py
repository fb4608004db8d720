"""A report on a catalogue: one HTML file that shows how reliable it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table

from .._version import __version__
from ..catalogue.cuts import iterate_catalogue
from ..catalogue.pipeline import Pipeline, find_stars
from ..data import Spectra
from ..files import atomic_output, existing_file
from ..fit import FitStatus
from ..model import XPModel
from ..model.store import load_model
from ..plots.spectrum import spectrum_figure
from ..read.tables import Lookup, float_column, matched_values
from ..read.units import say_once
from ..releases import id_column_of
from ..validate.reference import read_reference
from . import sections
from .gather import COLUMNS, Gathered, gather
from .page import Section, page, picture

NO_REFERENCE = (
    "No star of this catalogue has reference labels; give a table of APOGEE's, LAMOST's or other "
    "labels with --reference."
)

NO_SPECTRA = "The stars' spectra are shown if they are given with --spectra."

NO_MODEL = "The model of these fits is not available; name it with --model."

OTHER_MODEL = (
    "The catalogue was made with another model than that given with --model, which is therefore "
    "not shown; give the one of the fits."
)


def write_report(
    catalogue: str | os.PathLike,
    output: str | os.PathLike,
    *,
    reference: str | os.PathLike | None = None,
    model: str | os.PathLike | None = None,
    spectra: Sequence[str | os.PathLike] = (),
    overwrite: bool = False,
    watch: Callable[[Iterable[Table]], Iterable[Table]] = iter,
) -> Gathered:
    """Write a report on a catalogue.

    Parameters
    ----------
    catalogue : path-like
        A catalogue or the directory of a run; Parquet and runs are read part by part.
    output : path-like
        HTML file.
    reference : str or path-like, optional
        Table of labels to compare with, as for `xpfit.validate.read_reference`; by default those
        that came with the spectra.
    model : path-like, optional
        That of the fits; by default the one that comes with xpfit, if the fits are by it.
    spectra : sequence of path-like
        Files in which spectra of the worst and the most typical stars are looked for.
    overwrite : bool
    watch : callable
        Wraps the parts of the catalogue, such as in a progress bar.

    Returns
    -------
    Gathered

    Raises
    ------
    FileNotFoundError, InputError
        If a file is missing or of the wrong kind, or no star is in the reference table.
    OutputError
        If the output exists or cannot be written.
    """
    path = Path(catalogue)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; check the path")
    for needed in (*([model] if model else []), *spectra):  # which are read at the end
        existing_file(needed)
    labels = read_reference(reference, model) if reference else None
    parts = watch(iterate_catalogue(path, COLUMNS))
    gathered = gather(parts, attach=labels.attach if labels else None)
    if labels:
        say_once(labels.check())
    used, why = _model_of(gathered, model)
    with atomic_output(output, overwrite=overwrite) as part:
        html = _build(gathered, path.name, used, why, spectra)
        part.write_text(html, encoding="utf-8")
    return gathered


def _build(gathered, source, model, no_model, spectra) -> str:
    """The page."""
    first = sections.fitted_section(gathered, source)
    parts = [first]
    if gathered.n_star:
        against, comparison = sections.reference_section(gathered, NO_REFERENCE)
        parts = [
            sections.headline_section(gathered, comparison),
            first,
            sections.kiel_section(gathered),
            against,
            sections.quality_section(gathered),
            sections.flags_section(gathered),
            sections.model_section(model, no_model),
            sections.sky_section(gathered),
            _stars(gathered, model, no_model, spectra),
        ]
    subtitle = f"{gathered.n_star:,} stars, of which {gathered.n_reliable:,} reliable"
    footer = (
        f"Written by xpfit {__version__}. Method and comparison: Zhang, Green & Rix 2023, MNRAS "
        "524, 1855 (ZGR23). Data: ESA/Gaia/DPAC, and the surveys of the reference."
    )
    return page(f"xpfit report: {source}", subtitle, parts, footer)


def _model_of(gathered: Gathered, path: str | os.PathLike | None) -> tuple[XPModel | None, str]:
    """The model named, or xpfit's own if it is that of the fits; or why there is none."""
    made_with = gathered.meta.get("MODELID")
    model = load_model(path)
    if str(gathered.meta.get("ABSOLUTE")) == "False":
        model = model.shapes_only()
    if path is not None:
        other = made_with not in (None, model.fingerprint)
        return (None, OTHER_MODEL) if other else (model, "")
    return (model, "") if made_with == model.fingerprint else (None, NO_MODEL)


def _stars(gathered: Gathered, model: XPModel | None, no_model: str, spectra) -> Section:
    """The section on single stars, with their spectra if these are given."""
    if not spectra or model is None:
        return sections.stars_section(gathered, {}, no_model if spectra else NO_SPECTRA)
    shown = [stars for stars in (gathered.worst, gathered.typical) if len(stars)]
    wanted = np.array(
        [i for stars in shown for i in stars[id_column_of(stars.colnames)]], dtype=np.int64
    )
    pipeline = Pipeline(model)
    parts = (part for path in spectra for part in pipeline.spectra(path))
    pictures = {}
    for part in find_stars(parts, wanted)[0]:
        pictures |= _draw(pipeline, _with_parallaxes(part, shown))
    missing = [i for i in wanted.tolist() if i not in pictures]
    why = f"Of {len(missing)} of these stars no spectrum was found." if missing else ""
    return sections.stars_section(gathered, pictures, why)


def _with_parallaxes(spectra: Spectra, catalogue: Sequence[Table]) -> Spectra:
    """Spectra with the observed parallaxes of a catalogue's rows, which its fits used."""
    if not all("gaia_parallax_error" in part.colnames for part in catalogue):
        return spectra
    ids = np.concatenate([np.asarray(part[id_column_of(part.colnames)]) for part in catalogue])
    rows, matched = Lookup(ids).find(spectra.source_id)
    parallax, error = (
        matched_values(np.concatenate([float_column(part[n]) for part in catalogue]), rows, matched)
        for n in ("gaia_parallax", "gaia_parallax_error")
    )
    return spectra.replace(
        parallax=parallax, parallax_err=np.where(np.isfinite(error), error, np.inf)
    )


def _draw(pipeline, stars) -> dict[int, str]:
    """Figures of stars' spectra and fits, by source id."""
    result = pipeline.fit(stars)
    return {
        int(stars.source_id[i]): picture(
            spectrum_figure(pipeline.model, stars, result, i),
            f"Observed spectrum of source {stars.source_id[i]} with errors, its best fit with and "
            "without dust, and residuals over errors below.",
            f"Gaia DR3 {stars.source_id[i]}, fitted anew from the file of spectra.",
        )
        for i in range(len(stars))
        if result.status[i] != FitStatus.NOT_FITTED
    }


__all__ = ["write_report"]
