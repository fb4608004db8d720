"""Make xpfit/simulate/noise.h5: how XP errors and their correlations depend on brightness.

    python scripts/make_noise_model.py XP_CONTINUOUS_RAW.csv ...

Takes XP continuous spectra of real stars; what is kept are means over them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from xpfit.constants import XP_WAVELENGTH
from xpfit.data.hdf5 import new_hdf5
from xpfit.files import atomic_output
from xpfit.prepare.band import coefficient_covariance
from xpfit.prepare.bases import sampled_design
from xpfit.prepare.sampled import sample_continuous
from xpfit.read import XP_BANDS, read_continuous
from xpfit.simulate.noise import photon_rate

OUTPUT = Path(__file__).resolve().parents[1] / "xpfit" / "simulate" / "noise.h5"


def main() -> None:
    """Average over the stars of all files and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE", help="XP continuous spectra")
    tables = [table for path in parser.parse_args().files for table in read_continuous(path)]
    design = sampled_design(XP_WAVELENGTH, 55, 55)
    with atomic_output(OUTPUT, overwrite=True) as part, new_hdf5(part) as file:
        for band in XP_BANDS:
            used, per_rate = getattr(design, band).any(axis=0), []
            for table in tables:
                flux = sample_continuous(table, XP_WAVELENGTH).flux
                errors, correlations = (
                    np.asarray(table[f"{band}_coefficient_{name}"], dtype=float)
                    for name in ("errors", "correlations")
                )
                covariance = coefficient_covariance(errors, correlations)
                per_rate.append(covariance / photon_rate(XP_WAVELENGTH, flux, used)[:, None, None])
            stars = np.concatenate(per_rate)
            level = np.trace(stars, axis1=1, axis2=2)
            # The shape is the mean of the shapes, so that no star counts more than another; the
            # level is the median star's.
            shape = np.mean(stars / level[:, None, None], axis=0)
            values = (np.median(level) * shape).astype(np.float32)
            file.create_dataset(
                f"{band}/covariance_per_rate", data=values, compression="gzip", shuffle=True
            )
            print(f"{band}: {len(stars)} stars, variance per rate {np.round(level, 3)}")
    print(f"wrote {OUTPUT}")


if __name__ == "__main__":
    main()
