"""Small dust maps of the form of the published ones."""

import h5py
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from astropy_healpix import HEALPix

N_SAMPLE = 5

DM_EDGES = np.arange(4.0, 19.01, 0.5)
"""Distance moduli, as the published map has (120 of them there)."""


def write_bayestar(
    path, field, nside=4, rms=0.0, n_sample=5, rng=None, covered=None, dm=(6.0, 15.0)
):
    """Bayestar's HDF5: `field(l, b, pc)` in degrees and pc, samples scattering by a fraction.

    `covered` are the pixels of the map; the first one has not converged.
    """
    cells = HEALPix(nside, order="nested")
    pixels = np.arange(cells.npix) if covered is None else np.asarray(covered)
    lon, lat = (x.deg for x in cells.healpix_to_lonlat(pixels))
    distance = 10.0 ** (0.2 * DM_EDGES + 1.0)
    true = field(lon[:, None], lat[:, None], distance[None, :])
    scatter = np.zeros((len(pixels), N_SAMPLE, 1))
    if rms:
        scatter = rms * rng.standard_normal(scatter.shape)
    kind = [("nside", "i4"), ("healpix_index", "i8"), ("converged", "u1"),
            ("DM_reliable_min", "f4"), ("DM_reliable_max", "f4")]  # fmt: skip
    info = np.zeros(len(pixels), dtype=kind)
    info["nside"], info["healpix_index"], info["converged"] = nside, pixels, 1
    info["DM_reliable_min"], info["DM_reliable_max"] = dm
    info["converged"][0] = 0
    with h5py.File(path, "w") as file:
        file["pixel_info"] = info
        file["pixel_info"].attrs["DM_bin_edges"] = DM_EDGES
        file["samples"] = (true[:, None, :] * (1.0 + scatter)).astype("f4")
        file["best_fit"] = true.astype("f4")
    return path


def write_sfd(directory, field, n=128):
    """SFD's two FITS images (Lambert's zenithal equal-area projection): `field(l, b)`."""
    directory.mkdir(exist_ok=True)
    for pole, sign in (("ngp", 1), ("sgp", -1)):
        header = fits.Header()
        header["CTYPE1"], header["CTYPE2"] = "GLON-ZEA", "GLAT-ZEA"
        header["CRPIX1"] = header["CRPIX2"] = 0.5 * (n + 1)
        header["CRVAL1"], header["CRVAL2"] = 0.0, 90.0 * sign
        header["LONPOLE"] = 180.0
        # The radius of the equator in this projection is 2 sin(45 deg) rad.
        step = np.degrees(np.sqrt(2.0)) * 2.0 / (n - 4)
        header["CD1_1"], header["CD2_2"] = -step, step
        header["CD1_2"] = header["CD2_1"] = 0.0
        y, x = np.mgrid[:n, :n]
        with np.errstate(invalid="ignore"):
            lon, lat = WCS(header).wcs_pix2world(x.ravel(), y.ravel(), 0)
        values = np.nan_to_num(field(lon, lat)).reshape(n, n)
        fits.PrimaryHDU(values.astype("f4"), header).writeto(
            directory / f"SFD_dust_4096_{pole}.fits"
        )
    return directory


def write_edenhofer(path, density, nside=8, n_shell=60, std=0.1, samples=None):
    """Edenhofer et al.'s FITS: `density(l, b, pc)` in E per pc, and a fraction as its error."""
    cells = HEALPix(nside, order="nested")
    lon, lat = (x.deg for x in cells.healpix_to_lonlat(np.arange(cells.npix)))
    bounds = np.geomspace(69.0, 1250.0, n_shell + 1)
    centres = 0.5 * (bounds[1:] + bounds[:-1])
    mean = density(lon[None, :], lat[None, :], centres[:, None])
    inner = 69.0 * density(lon, lat, np.full(cells.npix, 34.5))
    data = mean if samples is None else mean * samples[:, None, None]
    inner_data = inner if samples is None else inner * samples[:, None]
    first = fits.PrimaryHDU(data.astype("f4"))
    hdus = [first]
    image = fits.ImageHDU(inner_data.astype("f4"), name="Mean of integrated inner")
    image.header["CTYPE"] = "Inner density integrated within 69.0pc"
    hdus.append(image)
    if samples is None:
        hdus.append(fits.ImageHDU((std * mean).astype("f4"), name="Std."))
        image = fits.ImageHDU((std * inner).astype("f4"), name="Std. of integrated inner")
        image.header["CTYPE"] = "Std. of inner density integrated within 69.0pc"
        hdus.append(image)
    for hdu in hdus:
        hdu.header["NSIDE"], hdu.header["ORDERING"] = nside, "NESTED"
    for name, values in (("radial pixel centers", centres), ("radial pixel boundaries", bounds)):
        column = fits.Column(name=name, format="D", array=values)
        hdus.append(fits.BinTableHDU.from_columns([column]))
    fits.HDUList(hdus).writeto(path)
    return path
