"""The correction of Huang et al. 2024 (ApJS 271, 13), from the files of its authors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import Table

from ...errors import InputError
from ...read import SAMPLED_WAVELENGTH
from .base import Correction, Factors, Samples, places
from .files import count_cells, digest_of, directory_with, read_numbers
from .stars import Stars, inside

WHERE = (
    "the CSV files of the folder GaiaDR3XPspectracorrectionV1 of "
    "https://github.com/HiromonGON/GaiaXPcorrection (Huang et al. 2024)"
)

LIMITS = {"bp_rp": (-0.5, 2.0), "phot_g_mean_mag": (3.0, 17.5)}
"""Range in which the authors tested it (their abstract)."""

MAX_EXTINCTION = 0.8
"""Largest E(B-V) (mag) of that range."""

SETS = {False: "untruc", True: "dotruc"}
"""How the names of files begin for whole and for truncated spectra."""

TERMS = {
    "C2": ("{}_interC2_CM.csv", "{}_interyyC2_CM.csv"),
    "C3": ("{}_interC3_CM.csv", "{}_interyyC3_CM.csv"),
    "G": ("{}_interG_CM.csv", "{}_interyyG_CM.csv"),
    "faint G": ("interGext_CM.csv", "{}_interyyGext_CM.csv"),
    "BP": ("inter_phot.csv", "inter_BP.csv"),
    "RP": ("inter_phot.csv", "inter_RP.csv"),
}
"""Files of nodes, one a row, and of the factors at them, for each term of the correction."""

NORMALISED = slice(62, 78)
"""Samples whose mean flux normalises a spectrum: 460 to 490 nm."""

COLOURS = {"C2": (slice(27, 49), slice(49, 71)), "C3": (slice(71, 102), slice(102, 133))}
"""Samples between which the slopes of the spectrum are: 390 to 476 and 478 to 600 nm."""

N_BP = 105
"""Samples to which the absolute correction of BP applies; that of RP applies to the others."""

BRIGHT, FAINT, FAINTEST = 2.703, 17.122, 17.4
"""G at which the spectra of standards begin and end, and at which those of LAMOST end."""

LAMOST = 10.0
"""G from which on the term is that of LAMOST's stars, and the absolute correction is known."""

EDGES = {False: (-1.238505903, 1.032292962), True: (-1.257463033, 1.095023301)}
"""C2 below which, and C3 above which, the correction is at the edge of what is known."""


class Term(NamedTuple):
    """A term of the correction: nodes (n,), increasing, and factors (n, 343) or (n, 1)."""

    nodes: np.ndarray
    factors: np.ndarray

    def at(self, values: np.ndarray) -> np.ndarray:
        """Factors of stars, shape (n_star, 343 or 1), linear between nodes."""
        low, weight = places(self.nodes, values)
        return (1.0 - weight[:, None]) * self.factors[low] + weight[:, None] * self.factors[low + 1]


class Huang2024(Correction):
    """Correction by two slopes of the spectrum and G.

    Parameters
    ----------
    directory : path-like
        With the files of the authors; both sets, for whole and truncated spectra.
    table : astropy.table.Table
        As for `Stars`. Where E(B-V) is not known, its range is not checked.

    Raises
    ------
    FileNotFoundError
        If there is no such directory.
    InputError
        If a file is missing or of another shape, or the table lacks a column.

    Notes
    -----
    The factor is that of C2, times that of C3, times that of G: the slopes (per 100 nm) of the
    normalised flux between 390-432 and 434-476 nm, and 478-538 and 540-600 nm, from means with the
    relative errors to the power -4 as weights. From G = 10 on the term in G is that of LAMOST's
    stars, with the zero point of the standards at 460-490 nm, and the absolute corrections of BP
    (to 544 nm) and RP. The tables have steps of 0.001; the authors take the nearest node, here they
    are interpolated.

    Codes are three digits, for C2, C3 and G, as the authors give them: 0, 1 at the edge and 2
    beyond it for the slopes; for G 0 from standards, 1 from LAMOST, 2 beyond the standards
    (G > 17.122), 3 beyond both (G > 17.4 or < 2.703).
    """

    name = "huang2024"
    grid = SAMPLED_WAVELENGTH

    def __init__(self, directory: str | os.PathLike, table: Table):
        prefixes = SETS.values()
        pairs = TERMS.values()
        self._names = sorted({name.format(p) for p in prefixes for pair in pairs for name in pair})
        self._directory = directory_with(directory, self._names, WHERE)
        for prefix in prefixes:
            _check_shapes(self._directory, prefix)
        self._digest = self._digest_now()
        self.version = f"V1 {self._digest}"
        self._stars = Stars(table)
        self._read: dict[str, dict[str, Term]] = {}

    def __getstate__(self) -> dict:
        """Without the tables, which each process reads for itself."""
        return self.__dict__ | {"_read": {}}

    def _digest_now(self) -> str:
        """Digest of the files as they are."""
        return digest_of(self._directory / name for name in self._names)

    def _terms(self, truncated: bool) -> dict[str, Term]:
        """Terms of the correction, from files that must be those of the identifier."""
        prefix = SETS[truncated]
        if prefix not in self._read:
            terms = {}
            for term, pair in TERMS.items():
                nodes, factors = (self._directory / name.format(prefix) for name in pair)
                terms[term] = Term(_read_nodes(nodes), _read_factors(factors))
            if self._digest_now() != self._digest:
                raise InputError(
                    f"{self._directory}: its files have changed since the command began"
                )
            self._read[prefix] = terms
        return self._read[prefix]

    def compute(self, samples: Samples) -> Factors:
        """Factors at the 343 wavelengths, with codes."""
        terms = self._terms(samples.truncated)
        ids = np.ma.filled(samples.table["source_id"], 0).astype(np.int64)
        values = self._stars.of(ids)
        g = values["phot_g_mean_mag"]
        slopes = {name: slope(samples, *windows) for name, windows in COLOURS.items()}
        corrected = inside(values, LIMITS) & ~(values["ebv"] > MAX_EXTINCTION)
        factor = _of_magnitude(terms, g)
        for name, slope_ in slopes.items():
            nodes = terms[name].nodes
            corrected &= (nodes[0] <= slope_) & (slope_ <= nodes[-1])
            factor = factor * terms[name].at(slope_)
        codes = _caution(terms, slopes, g, EDGES[samples.truncated])
        return Factors(np.where(corrected[:, None], factor, 1.0), corrected, codes)


def slope(samples: Samples, blue: slice, red: slice) -> np.ndarray:
    """Slope of the normalised flux between two windows, per 100 nm, shape (n_star,).

    NaN where the flux that it depends on is missing or not positive.
    """
    flux, error = samples.flux, samples.flux_err
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        norm = flux[:, NORMALISED].mean(axis=1, keepdims=True)
        n = NORMALISED.stop - NORMALISED.start
        norm_error = np.sqrt((error[:, NORMALISED] ** 2).sum(axis=1, keepdims=True)) / n
        norm = np.where(norm > 0, norm, np.nan)
        relative = (error / flux) ** 2 + (norm_error / norm) ** 2
        weight = relative**-2
        means = [
            (weight[:, window] * flux[:, window]).sum(axis=1) / weight[:, window].sum(axis=1)
            for window in (blue, red)
        ]
    centres = [samples.wavelength[window].mean() for window in (blue, red)]
    return (means[1] - means[0]) / norm[:, 0] / (centres[1] - centres[0]) * 100.0


def _of_magnitude(terms: dict[str, Term], g: np.ndarray) -> np.ndarray:
    """Factors that depend on G, shape (n_star, 343)."""
    bright = terms["G"].at(g)
    faint = terms["faint G"].at(g) * bright[:, NORMALISED].mean(axis=1, keepdims=True)
    faint[:, :N_BP] *= terms["BP"].at(g)
    faint[:, N_BP:] *= terms["RP"].at(g)
    return np.where((g < LAMOST)[:, None], bright, faint)


def _caution(terms, slopes: dict[str, np.ndarray], g: np.ndarray, edges) -> np.ndarray:
    """Codes of stars, shape (n_star,)."""
    digits = []
    for name, near in (("C2", slopes["C2"] < edges[0]), ("C3", slopes["C3"] > edges[1])):
        nodes = terms[name].nodes
        known = (nodes[0] <= slopes[name]) & (slopes[name] <= nodes[-1])
        digits.append(np.where(known, near.astype(int), 2))
    known = (g >= BRIGHT) & (g <= FAINTEST)
    code = np.where(known, (g >= LAMOST).astype(int) + (g > FAINT), 3)
    return 100 * digits[0] + 10 * digits[1] + code


def _check_shapes(directory: Path, prefix: str) -> None:
    """Refuse files of another shape, before any work."""
    for term, pair in TERMS.items():
        nodes, factors = (directory / name.format(prefix) for name in pair)
        n_nodes, one = count_cells(nodes)
        n_rows, n_columns = count_cells(factors)
        width = 1 if term in ("BP", "RP") else len(SAMPLED_WAVELENGTH)
        if one != 1 or n_nodes < 2:
            raise InputError(
                f"{nodes}: {n_nodes} rows of {one} numbers; expected one node a row, at least two: "
                f"{WHERE}"
            )
        if (n_rows, n_columns) != (n_nodes, width):
            raise InputError(
                f"{factors}: {n_rows} rows of {n_columns} numbers; expected {n_nodes}, one for "
                f"each node of {nodes.name}, of {width}: {WHERE}"
            )


def _read_nodes(path: Path) -> np.ndarray:
    """Nodes of a file, shape (n,)."""
    nodes = read_numbers(path, f"increasing numbers, one a row, without a header: {WHERE}")[:, 0]
    if np.any(np.diff(nodes) <= 0):
        raise InputError(f"{path}: the nodes do not increase; fetch it again: {WHERE}")
    return nodes


def _read_factors(path: Path) -> np.ndarray:
    """Factors of a file in single precision, shape (n, m)."""
    factors = read_numbers(path, f"factors separated by commas, without a header: {WHERE}")
    if np.any(factors <= 0):
        raise InputError(f"{path}: holds factors that are not positive; fetch it again: {WHERE}")
    return factors.astype(np.float32)
