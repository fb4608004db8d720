"""Extinctions in passbands, tables for maps of dust, and features of the extinction curve."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from astropy.table import Table

from ..catalogue.cuts import CUTS, iterate_catalogue
from ..errors import InputError
from ..extinction import (
    ModelExtinction,
    named_passband,
    published_curve,
    read_passband,
)
from ..extinction.curves import PUBLISHED
from ..extinction.maps import CUTS as MAP_CUTS
from ..extinction.maps import MAX_PARALLAX_REL_ERR, NSIDE, iterate_for_maps
from ..extinction.passband import ENERGY, NAMED, PHOTONS, Passband
from ..extinction.reddening import B_V, BLUE, VISUAL, monochromatic
from ..extinction.table import FLAGS, ExtinctionColumns, parameters_of
from ..model import XPModel
from ..model.store import load_model
from ..quantities import quantity
from . import options as shared
from .extinction_features import add_features, measure_features
from .parser import CATALOGUE_HELP, Parser

LEARNED = "learned"


def add(command: Parser) -> None:
    """Add the command's verbs and their arguments."""
    command.verbs(
        ("star", _add_star, _star, "Print the extinctions of a star of given type and dust."),
        ("table", _add_table, _table, "Add extinctions of its stars to a catalogue or table."),
        (
            "for-maps",
            _add_for_maps,
            _for_maps,
            "Write parallax and extinction of the good stars of a catalogue, with covariances.",
        ),
        (
            "features",
            add_features,
            measure_features,
            "Measure the features of the extinction curve at 770 and 850 nm.",
        ),
    )


def run(options: argparse.Namespace) -> None:
    """Run the verb."""
    options.work(options)


def _add_bands(command: Parser) -> None:
    """Add the options that name passbands and wavelengths."""
    command.option(
        "--band",
        "passband that comes with xpfit: Gaia DR3's (Riello et al. 2021) or Johnson's (Bessell "
        "1990); repeatable (default: all)",
        action="append",
        choices=NAMED,
    )
    command.option(
        "--passband FILE",
        "further passband: VOTable of the SVO Filter Profile Service, ECSV of speclite, or a table "
        "or text of wavelength and transmission (repeatable)",
        action="append",
        default=[],
    )
    command.option(
        "--wavelength-unit UNIT", "of passbands whose files do not state it, such as Angstrom"
    )
    command.option(
        "--counts",
        "what the transmission of --passband is of (default: what the file states, else photons)",
        choices=(PHOTONS, ENERGY),
    )
    command.option(
        "--at NM",
        "wavelength (nm, 300 to 5000) for a monochromatic extinction (repeatable)",
        type=float,
        action="append",
        default=[],
    )
    command.common("model")


def _add_star(command: Parser) -> None:
    """Add arguments of ``xpfit extinction star``."""
    command.option("--teff K", "effective temperature", type=float, required=True)
    command.option("--feh DEX", "[Fe/H]", default=0.0)
    command.option("--logg DEX", "log g", type=float, required=True)
    command.option("--alpha-m DEX", "[alpha/M], if the model has it", default=0.0)
    command.option("--extinction E", "amount of dust E, mag", default=1.0)
    command.option("--xi XI", "place of the extinction curve, if the model's varies", default=0.0)
    command.option(
        "--curve",
        "extinction curve; of the published ones all but CCM89 need the package dust_extinction, "
        "and E is then E(B-V) = A(V) / R(V)",
        choices=(LEARNED, *PUBLISHED),
        default=LEARNED,
    )
    command.option("--r-v RV", "R(V) of the published curve", default=3.1)
    command.option("--extrapolate", "allow types outside the range that the model was trained on")
    _add_bands(command)


def _add_table(command: Parser) -> None:
    """Add arguments of ``xpfit extinction table``."""
    command.option(
        "catalogue CATALOGUE",
        "catalogue, directory of 'xpfit run', or any table with the model's labels, extinction, "
        "and xi if its curve varies",
    )
    command.option("--output OUT", CATALOGUE_HELP, required=True)
    _add_bands(command)
    command.common("overwrite", "quiet")


def _add_for_maps(command: Parser) -> None:
    """Add arguments of ``xpfit extinction for-maps``."""
    command.option("catalogue CATALOGUE", "catalogue, or the directory of 'xpfit run'")
    command.option("--output OUT", CATALOGUE_HELP, required=True)
    command.option(
        "--cut",
        f"cut that stars must pass, as of 'xpfit select' (repeatable; default: {MAP_CUTS[0]})",
        action="append",
        choices=tuple(CUTS),
    )
    command.option(
        "--max-parallax-error SHARE",
        "largest error of the parallax, over the parallax",
        default=MAX_PARALLAX_REL_ERR,
    )
    command.option("--nside NSIDE", "of the HEALPix cells, nested and Galactic", default=NSIDE)
    command.common("overwrite", "quiet")


def _passbands(options: argparse.Namespace) -> list[Passband]:
    """Passbands of the options."""
    files = [
        read_passband(path, unit=options.wavelength_unit or "", counts=options.counts or "")
        for path in options.passband
    ]
    names = options.band or (() if files else NAMED)
    return [*(named_passband(name) for name in dict.fromkeys(names)), *files]


def _star(options: argparse.Namespace) -> None:
    """Print the extinctions of one star."""
    model, passbands = load_model(options.model), _passbands(options)
    parameters = _type(options, model)
    layout = model.forward.layout
    curve = None
    if options.curve != LEARNED:
        curve = published_curve(options.curve, options.r_v)
    bands = [*passbands, *(named_passband(name) for name in B_V)]
    extinction = ModelExtinction(model, bands, curve)
    value = extinction.extinction(parameters)[0]
    dust = parameters[0, layout.extinction]
    at = np.array([*options.at, BLUE, VISUAL])
    if curve is None:
        xi = parameters[:, layout.xi] if layout.has_xi else np.zeros(1)
        per_dust = monochromatic(extinction.continued, at, xi)[0]
    else:
        per_dust = curve(at)
    rows = [["", "mag", "per E", "continued"]]
    for band, a, share in zip(passbands, value, extinction.shares, strict=False):
        rows.append([f"A({band.name})", f"{a:.4f}", _ratio(a, dust), f"{share[1]:.1%}"])
    for nm, factor in zip(options.at, per_dust, strict=False):
        rows.append([f"A({nm:g} nm)", f"{dust * factor:.4f}", f"{factor:.4f}", ""])
    e_b_v = value[-2] - value[-1]
    e_440 = dust * (per_dust[-2] - per_dust[-1])
    rows.append(["E(B-V)", f"{e_b_v:.4f}", _ratio(e_b_v, dust), ""])
    rows.append(["E(440-550)", f"{e_440:.4f}", _ratio(e_440, dust), ""])
    rows.append(["A(V) / E(B-V)", _ratio(value[-1], e_b_v), "", ""])
    rows.append(["A(550) / E(440-550)", _ratio(dust * per_dust[-1], e_440), "", ""])
    print(shared.text_table([24, 10, 10, 11], rows))


def _ratio(value: float, by: float) -> str:
    """A ratio as text; empty without dust."""
    return f"{value / by:.4f}" if by > 0 else ""


def _type(options: argparse.Namespace, model: XPModel) -> np.ndarray:
    """Parameters of the star of the options, (1, n_parameter)."""
    names = model.parameter_names
    table = Table({n: [getattr(options, n)] for n in names if n != "parallax"})
    parameters = parameters_of(model, table)
    if options.xi and "xi" not in names:
        raise InputError("this model has one extinction curve for all stars: --xi must be zero")
    if not np.isfinite(parameters).all() or not options.extinction >= 0 or not options.teff > 0:
        raise InputError("--teff must be positive, --extinction not negative, all finite")
    inside = model.in_range(parameters[:, model.forward.layout.labels])[0]
    for name, low_high, good in zip(model.label_names, model.label_ranges, inside, strict=True):
        if not (good or options.extrapolate):
            low, high = quantity(name).factor * low_high
            raise InputError(
                f"--{name.replace('_', '-')} {getattr(options, name):g} is outside the range that "
                f"the model was trained on, {low:.4g} to {high:.4g}; allow it with --extrapolate"
            )
    return parameters


def _table(options: argparse.Namespace) -> None:
    """Add columns to a catalogue."""
    shared.check_catalogue(options)
    columns = ExtinctionColumns(load_model(options.model), _passbands(options), options.at)
    flagged = 0

    def parts() -> Iterator[Table]:
        nonlocal flagged
        tables = iterate_catalogue(Path(options.catalogue))
        for part in shared.progress(options, tables):
            result = columns.add(part)
            flagged += int(np.count_nonzero(result[FLAGS]))
            yield result

    n_rows = shared.save_catalogue(options, parts())
    shared.say(
        options,
        f"wrote {n_rows} stars with {', '.join(columns.names)} to {options.output}; "
        f"{flagged} are flagged in {FLAGS}",
    )


def _for_maps(options: argparse.Namespace) -> None:
    """Write the table for maps."""
    shared.check_catalogue(options)
    total = 0

    def read() -> Iterator[Table]:
        nonlocal total
        for part in shared.progress(options, iterate_catalogue(Path(options.catalogue))):
            total += len(part)
            yield part

    tables = iterate_for_maps(
        read(),
        cuts=options.cut or MAP_CUTS,
        max_parallax_rel_err=options.max_parallax_error,
        nside=options.nside,
    )
    n_rows = shared.save_catalogue(options, tables)
    shared.say(options, f"wrote {n_rows} of {total} stars to {options.output}")
