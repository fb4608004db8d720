"""Attaching photometry to spectra: 2MASS and (un)WISE."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from astropy.table import Table

from ..constants import BANDS, LN_PER_MAG, Band
from ..data import InputFlag, PhotometrySettings, Spectra
from ..errors import InputError
from ..read.columns import BANDS as BAND_COLUMNS
from ..read.columns import MEANINGS, plain, unnumbered
from ..read.joins import Key
from ..read.known import Use, known_columns, name_of, report_uses
from ..read.tables import matched_values
from .contamination import TWO_MASS_BANDS, Verdict, unusable_bands
from .magnitudes import band_flux, vega_zero_point
from .unwise import unwise_table

NANOMAGGY_MAGNITUDE = 22.5

_LIKE_BAND = (
    r"^(?:[a-z0-9]+_)*(?:{})_?(?:m|mag\w*|mpro\w*|psf\w*|flux\w*|nano\w*|\w*sig\w*|err\w*)?$"
)
"""What columns of a band are called."""

_LETTERS = {"J": "j", "H": "h", "Ks": "ks|k", "W1": "w1", "W2": "w2"}


class Photometry:
    """A table of photometry, to be joined to spectra.

    Parameters
    ----------
    table : astropy.table.Table
        Source ids, magnitudes (or fluxes in nanomaggies) of any of the bands and their errors,
        under the names of `xpfit.read.columns`, and, optionally, `norm_dg` and the flags of
        `xpfit.prepare.contamination`.
    settings : PhotometrySettings, optional
    gaia : astropy.table.Table, optional
        Rows of gaia_source with positions and proper motions, for unWISE's tables without ids.

    Attributes
    ----------
    key : xpfit.read.joins.Key

    Raises
    ------
    InputError
        If the table has no ids, none of the bands, or a band of which only the magnitude or only
        the error is known; or as `xpfit.read.known.known_columns`, `unwise_table` and
        `unusable_bands`.
    """

    def __init__(
        self, table: Table, settings: PhotometrySettings | None = None, gaia: Table | None = None
    ):
        table = unwise_table(table, gaia)
        what = name_of(table, "the table of photometry")
        self.settings = settings or PhotometrySettings()
        self.key = Key(table, what)
        names = (*(m.name for m in BAND_COLUMNS), "norm_dg")
        columns, uses = known_columns(table, names, what)
        _require_pairs(table, columns, uses, what)
        verdicts, flag_uses = unusable_bands(table, self.settings, what)
        self._contaminated: dict[str, np.ndarray] = {}
        self._measured = {}
        for band in BANDS:
            values = self._from_magnitudes(columns, band) or self._from_nanomaggies(columns, band)
            if values is not None:
                self._measured[band.name] = self._judged(values, band.name, columns, verdicts)
        if not self._measured:
            known = ", ".join(MEANINGS[band.name].names[0] for band in BANDS)
            raise InputError(f"{what} has none of the known columns: {known}")
        _refuse_half_known(table, self._measured, {use.column for use in uses}, what)
        own = [verdict.column for verdict in verdicts]
        notes = [str(verdict) for verdict in verdicts]
        report_uses(table, what, self.key.column, [*uses, *flag_uses], own, notes)

    def attach(self, spectra: Spectra, source_id: np.ndarray | None = None) -> Spectra:
        """Spectra with the photometry of their stars.

        Parameters
        ----------
        spectra : Spectra

        Returns
        -------
        Spectra
            As `attach_photometry`.

        Raises
        ------
        InputError
            If the spectra have no such channels.
        """
        if source_id is None:
            rows, matched = self.key.rows(spectra.source_id, spectra.release)
        else:  # of the release of the table
            rows, matched = self.key.rows(source_id)
        channels = {band.name: spectra.space.band_channel(band.wavelength) for band in BANDS}
        flux, flux_err = spectra.flux.copy(), spectra.flux_err.copy()
        contaminated = np.zeros(len(spectra), dtype=bool)
        for name, values in self._measured.items():
            new, new_err = (matched_values(v, rows, matched) for v in values)
            known = ~np.isnan(new_err)
            flux[known, channels[name]] = new[known]
            flux_err[known, channels[name]] = new_err[known]
            contaminated |= matched_values(self._contaminated[name], rows, matched, 0.0) == 1
        bands = list(channels.values())
        return spectra.replace(
            flux=flux,
            flux_err=flux_err,
            whitener=spectra.whitener.with_independent(bands, flux_err[:, bands]),
            input_flags=_band_flags(spectra.input_flags, flux_err, channels, contaminated),
            preparation=replace(spectra.preparation, photometry=self.settings),
        )

    def _judged(self, values, name: str, columns: dict, verdicts: list[Verdict]):
        """Flux and error of a band, NaN where not measured, without weight where not to be used."""
        flux, flux_err = values
        flux_err = np.where(np.isfinite(flux_err), flux_err, np.nan)
        settings = self.settings
        of_two_mass = name in TWO_MASS_BANDS
        limit = settings.max_norm_dg_2mass if of_two_mass else settings.max_norm_dg_wise
        unusable, contaminated = np.zeros((2, len(flux)), dtype=bool)
        if "norm_dg" in columns:
            with np.errstate(invalid="ignore"):
                contaminated |= columns["norm_dg"] > limit
        for verdict in verdicts:
            if name in verdict.unusable:
                (contaminated if verdict.contaminated else unusable)[verdict.unusable[name]] = True
        unusable |= contaminated
        self._contaminated[name] = contaminated & ~np.isnan(flux_err)
        return np.where(unusable, 0.0, flux), np.where(unusable, np.inf, flux_err)

    def _from_magnitudes(self, columns: dict, band: Band):
        """Flux and error from Vega magnitudes."""
        if band.name not in columns:
            return None
        error = np.hypot(columns[f"{band.name}_err"], self.settings.magnitude_err_floor)
        return band_flux(columns[band.name], error, band)

    def _from_nanomaggies(self, columns: dict, band: Band):
        """Flux and error from nanomaggies; a negative flux is a measurement."""
        name = f"{band.name}_nanomaggies"
        if name not in columns:
            return None
        unit = vega_zero_point(band) * np.exp(-LN_PER_MAG * NANOMAGGY_MAGNITUDE)
        flux, flux_err = unit * columns[name], unit * columns[f"{name}_err"]
        good = np.isfinite(flux) & np.isfinite(flux_err)
        flux_err = np.hypot(flux_err, LN_PER_MAG * self.settings.magnitude_err_floor * flux)
        return np.where(good, flux, 0.0), np.where(good, flux_err, np.inf)


def attach_photometry(
    spectra: Spectra,
    table: Table,
    settings: PhotometrySettings | None = None,
    gaia: Table | None = None,
) -> Spectra:
    """Attach 2MASS and WISE fluxes to spectra, by source id; unWISE's without ids by position.

    Parameters
    ----------
    spectra : Spectra
        With the bands of `xpfit.constants.BANDS`.
    table : astropy.table.Table
        As for `Photometry`.
    settings : PhotometrySettings, optional
    gaia : astropy.table.Table, optional
        As for `Photometry`.

    Returns
    -------
    Spectra
        The table's values replace those that a star has. What the table does not have (the star,
        a band, or a possible value of it) stays as it was. Flagged or contaminated magnitudes have
        no weight; `InputFlag.MISSING_BAND` is set where J, H or Ks is absent, and
        `InputFlag.CONTAMINATED_BAND` where a band was measured that is not the star's alone.

    Raises
    ------
    InputError
        As `Photometry`, if none of the stars is in the table, or if the spectra have no such
        channels.

    Warns
    -----
    UserWarning
        If the table has few of the stars, repeats some, or holds impossible values.
    """
    photometry = Photometry(table, settings, gaia)
    spectra = photometry.attach(spectra)
    photometry.key.check()
    return spectra


def _require_pairs(table: Table, columns: dict, uses: list[Use], what: str) -> None:
    """Refuse a band of which only the value or only the error is known."""
    names = {use.meaning.name: use.column for use in uses}
    for meaning in BAND_COLUMNS:
        if meaning.name.endswith("_err"):
            continue
        pair = (meaning.name, f"{meaning.name}_err")
        known = [name for name in pair if name in columns]
        if len(known) == 1:
            lacking = MEANINGS[pair[known == [pair[0]]]]
            expected = ", ".join(lacking.names[:4])
            raise InputError(
                f"{what}: column {names[known[0]]} is known as {MEANINGS[known[0]].what}, but no "
                f"column as {lacking.what} (such as {expected}); rename the column that is, or "
                f"remove {names[known[0]]}"
            )


def _refuse_half_known(table: Table, measured: dict, used: set[str], what: str) -> None:
    """Refuse columns that seem to be of a band, if the band is not known by others."""
    for name, letters in _LETTERS.items():
        pattern = re.compile(_LIKE_BAND.format(letters))
        like = [c for c in table.colnames if pattern.match(unnumbered(plain(c))) and c not in used]
        like = [c for c in like if table[c].dtype.kind in "iuf"]
        if name not in measured and like:
            expected = ", ".join(MEANINGS[name].names[:4])
            raise InputError(
                f"{what}: {', '.join(like)} may be of {name}, but {name} is not known by any name "
                f"(such as {expected}, with an error); rename its columns, or remove them"
            )


def _band_flags(
    flags: np.ndarray, flux_err: np.ndarray, channels: dict, contaminated: np.ndarray
) -> np.ndarray:
    """Input flags on bands: `MISSING_BAND` where J, H or Ks has no weight, and no `NO_DATA`."""
    missing = np.isinf(flux_err[:, [channels[name] for name in TWO_MASS_BANDS]]).any(axis=1)
    replaced = int(InputFlag.MISSING_BAND | InputFlag.NO_DATA)
    flags = (flags & ~replaced) | np.where(missing, int(InputFlag.MISSING_BAND), 0)
    return flags | np.where(contaminated, int(InputFlag.CONTAMINATED_BAND), 0)
