"""Measured parallaxes of stars of the APOGEE-XP library, each with its zero point.

Most are Gaia DR3's of stars brighter than V = 10.5, from the star catalogue of Debian's package
stellarium-data 26.3: they are read from the package again (388 MB, downloaded unless --package
names it). The others (APOKASC, tables of clusters) are carried over from the given table. Only
stars in the given table are taken: more stars of the library are in the package, and are left to
judge models by. One fifth of the stars is held out of all training: those for which 5 divides the
SHA-256 of the source id.

Left out: parallaxes below 5 of their errors, and Gaia DR1's.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tarfile
import urllib.request
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from wheels import FetchError, check

from xpfit.errors import InputError, XpfitError
from xpfit.files import atomic_output, check_output
from xpfit.healpix import position_of_id
from xpfit.prepare import parallax_zero_point
from xpfit.read import read_library, read_table
from xpfit.read.tables import Lookup, float_column

DATA = Path(__file__).resolve().parents[1] / "data"
PACKAGE = "stellarium-data_26.3-1_all.deb"
URL = f"http://deb.debian.org/debian/pool/main/s/stellarium/{PACKAGE}"
SHA256 = "dd911fc1059a78b3fb6b69a02a561871bd57253a9b1aad5ef691f292612de112"

STELLARIUM = "stellarium-data 26.3"
CATALOGUES = tuple(
    f"stars_{level}_0v0_{version}.cat" for level, version in enumerate((21, 16, 17, 10))
)
"""The catalogue's four levels of brightness in which stars have 48 bytes each."""

HEADER_SIZE = 28
"""Bytes before the number of stars in each of the level's 20 x 4^level + 1 zones (uint32)."""

RECORD = np.dtype(
    [
        ("source_id", "<i8"), ("position", "<i4", 3), ("motion", "<i4", 3), ("b_v", "<i2"),
        ("v", "<i2"), ("parallax", "<u2"), ("parallax_error", "<u2"), ("radial_velocity", "<i2"),
        ("spectral_type", "<u2"), ("object_type", "u1"), ("hip", "u1", 3),
    ]
)  # fmt: skip
"""A star, as Stellarium's user guide describes it."""

PARALLAX_STEP, ERROR_STEP = 0.02, 0.01
"""Units (mas) of parallaxes and errors in the catalogue."""

ROUNDING = 0.006
"""Standard error (mas) of the rounding: PARALLAX_STEP over the square root of 12."""

HIPPARCOS_ERROR = 0.3
"""Error (mas) from which a star with a Hipparcos number is taken to have Hipparcos' parallax."""

ZERO_POINT = {"DR3": -0.03, "DR2": -0.05, "HIP": 0.0}
"""Zero points (mas) by release: DR3's where a colour is unknown, as is typical of G < 11 (Lindegren
et al. 2021); DR2's in the Kepler field (Zinn et al. 2019)."""

MIN_PARALLAX_OVER_ERROR = 5.0

COLUMNS = (
    "source_id", "parallax", "parallax_error", "zero_point", "release", "origin", "held_out",
)  # fmt: skip


def download(directory: Path) -> Path:
    """Download the Debian package."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / PACKAGE
    try:
        urllib.request.urlretrieve(URL, path)
    except OSError as error:
        raise FetchError(
            f"{URL}: {error}; Debian keeps only new versions there: older ones are at "
            "snapshot.debian.org, give a downloaded file with --package"
        ) from error
    check(path, SHA256)
    return path


def package_files(package: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Content of files in a Debian package: an ar archive with a compressed tar archive in it."""
    with package.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise InputError(f"{package}: not a Debian package")
        while len(header := file.read(60)) == 60:
            size = int(header[48:58])
            if header.startswith(b"data.tar"):
                return _tar_files(file, names, package)
            file.seek(size + size % 2, 1)
    raise InputError(f"{package}: no data in this Debian package")


def _tar_files(file, names: tuple[str, ...], package: Path) -> dict[str, bytes]:
    """Content of files of these names in a tar archive that begins here."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=file, mode="r|xz") as archive:
        for member in archive:
            name = Path(member.name).name
            if name in names and member.isfile():
                found[name] = archive.extractfile(member).read()
                if len(found) == len(names):
                    return found
    missing = ", ".join(name for name in names if name not in found)
    raise InputError(f"{package}: no {missing} in this package; it is not {STELLARIUM}")


def catalogue_records(content: bytes, level: int) -> np.ndarray:
    """Stars of one level of the catalogue."""
    n_zone = 20 * 4**level + 1
    start = HEADER_SIZE + 4 * n_zone
    n_star = int(np.frombuffer(content, "<u4", n_zone, HEADER_SIZE).sum())
    if len(content) != start + n_star * RECORD.itemsize:
        raise InputError(f"level {level} of the star catalogue has another layout")
    return np.frombuffer(content, RECORD, n_star, start)


def stellarium_parallaxes(package: Path) -> Table:
    """Parallaxes of all stars with a Gaia id in the catalogue."""
    content = package_files(package, CATALOGUES)
    records = np.concatenate(
        [catalogue_records(content[name], level) for level, name in enumerate(CATALOGUES)]
    )
    records = records[(records["source_id"] > 0) & (records["parallax"] > 0)]
    error = ERROR_STEP * records["parallax_error"]
    # The lowest five bits are the component of a multiple star.
    in_hipparcos = records["hip"] @ np.array([1, 256, 65536]) >> 5 > 0
    return Table(
        {
            "source_id": records["source_id"],
            "parallax": PARALLAX_STEP * records["parallax"],
            "parallax_error": error,
            "release": np.where(in_hipparcos & (error >= HIPPARCOS_ERROR), "HIP", "DR3"),
        }
    )


def agreement(given: Table, read: Table) -> np.ndarray:
    """Which rows of the given table have the same parallax and error, rounding included or not."""
    same = np.abs(given["parallax"] - read["parallax"]) < 1e-3
    errors = (read["parallax_error"], np.hypot(read["parallax_error"], ROUNDING))
    return same & np.any([np.abs(given["parallax_error"] - e) < 1e-3 for e in errors], axis=0)


def zero_points(table: Table, library: Table) -> np.ndarray:
    """Zero point of each parallax (mas): of DR3's, that of Lindegren et al. (2021).

    The effective wavenumber follows from the colour (their eq. 4), the ecliptic latitude from the
    source id.
    """
    ids = np.ma.filled(library["gaiaedr3_source_id"], 0)
    rows, matched = Lookup(ids).find(np.asarray(table["source_id"]))
    g, bp, rp = (
        np.where(matched, float_column(library[f"gaiaedr3_phot_{b}_mean_mag"])[rows], np.nan)
        for b in ("g", "bp", "rp")
    )
    ra, dec = position_of_id(np.asarray(table["source_id"]))
    sky = SkyCoord(ra * u.deg, dec * u.deg).barycentricmeanecliptic
    n = len(table)
    columns = {
        "phot_g_mean_mag": g,
        "nu_eff_used_in_astrometry": 1.76 - 1.61 / np.pi * np.arctan(0.531 * (bp - rp)),
        "pseudocolour": np.full(n, np.nan),
        "ecl_lat": sky.lat.deg,
        "astrometric_params_solved": np.full(n, 31),
    }
    by_formula = parallax_zero_point(Table(columns))
    typical = np.array([ZERO_POINT[release] for release in table["release"]])
    use = (table["release"] == "DR3") & np.isfinite(by_formula)
    return np.where(use, by_formula, typical)


def is_held_out(source_id: np.ndarray) -> np.ndarray:
    """One for stars that are never trained on, a fifth of all."""
    digests = (hashlib.sha256(str(int(i)).encode()).hexdigest() for i in source_id)
    return np.array([int(int(digest, 16) % 5 == 0) for digest in digests])


def library_parallaxes(given: Table, stellarium: Table, library: Table) -> tuple[Table, list[str]]:
    """The table, and what is to be said about it."""
    table = given[list(COLUMNS[:3]) + ["release", "origin"]]
    table["release"] = np.char.replace(table["release"].astype(str), "_or_HIP", "").astype("U3")
    here = np.flatnonzero(table["origin"] == STELLARIUM)
    rows, matched = Lookup(np.asarray(stellarium["source_id"])).find(
        np.asarray(table["source_id"][here])
    )
    here, read = here[matched], stellarium[rows[matched]]
    said = [
        f"{matched.sum()} of {len(matched)} stars are in the star catalogue; parallax and error of "
        f"{agreement(table[here], read).sum()} agree with the given table"
    ]
    table["parallax"][here] = read["parallax"]
    table["release"][here] = read["release"]
    table["parallax_error"][here] = np.hypot(read["parallax_error"], ROUNDING)
    uncertain = table["parallax"] < MIN_PARALLAX_OVER_ERROR * table["parallax_error"]
    for why, out in (("of DR1", table["release"] == "DR1"), ("below 5 errors", uncertain)):
        origins, counts = np.unique(np.asarray(table["origin"])[out], return_counts=True)
        each = ", ".join(f"{n} of {origin}" for origin, n in zip(origins, counts, strict=True))
        said.append(f"left out, parallaxes {why}: {each or 'none'}")
    table = table[~uncertain & (table["release"] != "DR1")]
    table["zero_point"] = zero_points(table, library)
    table["held_out"] = is_held_out(np.asarray(table["source_id"]))
    for name, digits in (("parallax", 4), ("parallax_error", 4), ("zero_point", 4)):
        table[name] = np.round(table[name], digits)
    return table[list(COLUMNS)], said


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "given", type=Path, nargs="?", default=DATA / "library_parallaxes.csv",
        help="table of the stars, their parallaxes and origins (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--package", type=Path, help=f"{PACKAGE}, downloaded by default")
    parser.add_argument(
        "--library", type=Path, default=DATA / "library" / "apogee_library_spectra.fits.gz"
    )
    parser.add_argument("--output", type=Path, default=DATA / "library_parallaxes.csv")
    parser.add_argument("--overwrite", action="store_true")
    options = parser.parse_args()
    try:
        check_output(options.output, overwrite=options.overwrite)
        given, library = read_table(options.given), read_library(options.library)
        package = options.package or download(DATA / "library")
        stellarium = stellarium_parallaxes(package)
        if not options.package:
            package.unlink()
        table, said = library_parallaxes(given, stellarium, library)
        with atomic_output(options.output, overwrite=options.overwrite) as part:
            table.write(part, format="ascii.csv")
    except (FetchError, XpfitError, OSError, tarfile.TarError) as error:
        print(f"make_library_parallaxes: error: {error}", file=sys.stderr)
        return 1
    print("\n".join(said))
    print(f"wrote {len(table)} stars, {table['held_out'].sum()} held out, to {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
