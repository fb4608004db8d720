"""Gaia's data releases: all names and numbers that differ between them, in one table.

What is not published yet is an assumption, with its source, in `Release.assumptions`; on the day of
a release this file is what has to be compared with the archive's own description of its tables.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

EXCESS_FACTOR = "phot_bp_rp_excess_factor"
EXCESS_NOISE_SIG = "astrometric_excess_noise_sig"
PARAMS_SOLVED = "astrometric_params_solved"
PARALLAX_BIAS = "tentative_parallax_bias"
"""Columns of gaia_source that not all releases have, by the names of the first that has them."""


@dataclass(frozen=True)
class Release:
    """What is peculiar to a data release.

    Attributes
    ----------
    name : str
        "DR3", for example.
    n_coefficients : tuple of int
        Of XP continuous spectra in BP and RP.
    basis_ids : mapping of str to int
        Identifiers of the sets of basis functions, by band; empty if not known.
    solution_ids : tuple of int
        ``solution_id`` of the tables of XP spectra, as far as known.
    epoch : float
        Reference epoch of positions, Julian year.
    g_limits : tuple of float
        Magnitudes G between which mean XP spectra are published.
    schema : str
        Of the archive's tables.
    datalink : str
        Name of the release in requests for spectra.
    retrieval_types, data_structures : tuple of str
        Names of XP continuous spectra and of "one row per source" in such requests, in the order in
        which they are tried.
    epoch_types : tuple of str
        Names of epoch XP spectra; empty if there are none.
    renamed : mapping of str to str
        Columns of gaia_source that are called otherwise than in DR3, by DR3's names.
    absent : tuple of str
        Columns of DR3's gaia_source that this release has not.
    zero_point : str
        Column of gaia_source that is subtracted from parallaxes; empty where a published function
        gives it.
    id_column : str
        Column of source ids in xpfit's catalogues.
    designations : tuple of str
        What stands between "Gaia" and the source id in designations.
    assumptions : tuple of str
        What of this is not published by the archive, and where it comes from.
    """

    name: str
    n_coefficients: tuple[int, int]
    basis_ids: Mapping[str, int]
    solution_ids: tuple[int, ...]
    epoch: float
    g_limits: tuple[float, float]
    schema: str
    datalink: str
    retrieval_types: tuple[str, ...]
    data_structures: tuple[str, ...]
    epoch_types: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    zero_point: str = ""
    id_column: str = ""
    designations: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()

    def column(self, name: str) -> str:
        """Name of a column of DR3's gaia_source in this release; empty if it is absent."""
        return "" if name in self.absent else self.renamed.get(name, name)


DR3 = Release(
    name="DR3",
    n_coefficients=(55, 55),
    basis_ids={"bp": 56, "rp": 57},
    solution_ids=(4545469030156206081,),
    epoch=2016.0,
    g_limits=(1.9, 17.65),
    schema="gaiadr3",
    datalink="Gaia DR3",
    retrieval_types=("XP_CONTINUOUS", "MEAN_SPECTRUM_XP"),
    data_structures=("RAW", "DATAMODEL_GAIA"),
    id_column="gdr3_source_id",
    designations=("DR3", "EDR3"),
)

DR4 = Release(
    name="DR4",
    n_coefficients=(51, 55),
    basis_ids={},
    solution_ids=(),
    epoch=2017.5,
    g_limits=(1.9, 21.0),
    schema="gaiadr4",
    datalink="Gaia DR4",
    retrieval_types=("MEAN_SPECTRUM_XP", "XP_CONTINUOUS"),
    data_structures=("DATAMODEL_GAIA", "RAW"),
    epoch_types=("EPOCH_SPECTRUM_XP",),
    renamed={PARAMS_SOLVED: "astrometric_params"},
    absent=(EXCESS_FACTOR, EXCESS_NOISE_SIG),
    zero_point=PARALLAX_BIAS,
    id_column="gdr4_source_id",
    designations=("DR4",),
    assumptions=(
        "51 BP and 55 RP coefficients: GaiaXPy, issue 114",
        "datalink types MEAN_SPECTRUM_XP, EPOCH_SPECTRUM_XP: astroquery, pull requests 3110, 3382",
        "data structure DATAMODEL_GAIA for RAW: astroquery, pull request 3629",
        "reference epoch J2017.5: draft data model",
        "columns astrometric_params, tentative_parallax_bias (mas, to be subtracted): draft data "
        "model",
        "no phot_bp_rp_excess_factor and astrometric_excess_noise_sig: draft data model",
        "tables under gaiadr4., of the names of DR3; identifiers of basis functions not known",
        "mean spectra to G = 21: not announced; no limit is applied",
    ),
)

RELEASES: Mapping[str, Release] = {release.name: release for release in (DR3, DR4)}
"""By name."""

DEFAULT = DR3.name
"""Release of files that xpfit wrote before it recorded one."""

SAME_IDS = {name: release.name for release in RELEASES.values() for name in release.designations}
"""Names of releases in designations, and the release whose source ids they are."""


def id_column_of(names: Container[str]) -> str:
    """The column of source ids that a catalogue of xpfit has; DR3's if it has none."""
    columns = (release.id_column for release in RELEASES.values())
    return next((column for column in columns if column in names), DR3.id_column)
