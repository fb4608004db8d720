"""Small files of isochrones, in the layout of lachesis-grids."""

import h5py
import numpy as np

COLUMNS = ("eep", "age", "initial_mass", "log_Teff", "log_g", "log_L", "phase")
FEH = np.array([-0.5, 0.0, 0.5])
AGES = np.array([1.0, 4.0, 8.0])


def points_of(feh, age, n_point):
    """A short main sequence: mass, log Teff, log g and log L that obey L = M Teff^4 / g."""
    mass = np.linspace(0.8, 1.2, n_point)
    log_teff = np.log10(5772.0) + 0.5 * np.log10(mass) - 0.02 * feh + 0.002 * age
    logg = 4.438 - 2.0 * np.log10(mass) - 0.02 * age
    log_l = np.log10(mass) + 4.0 * (log_teff - np.log10(5772.0)) - (logg - 4.438)
    rows = np.zeros((n_point, len(COLUMNS)))
    rows[:, 1:] = np.column_stack(
        [np.full(n_point, 9 + np.log10(age)), mass, log_teff, logg, log_l, np.zeros(n_point)]
    )
    return rows


def write_isochrones(path, *, name="TEST", n_point=60, change=None):
    """Write such a file; `change` may change its parts, a dict, first."""
    parts = [points_of(feh, age, n_point) for feh in FEH for age in AGES]
    content = {
        "values": np.concatenate(parts).astype(np.float32),
        "lengths": np.full(len(parts), n_point),
        "feh_values": FEH,
        "age_values": 9 + np.log10(AGES),
        "columns": list(COLUMNS),
        "grid_name": name,
    }
    if change:
        change(content)
    with h5py.File(path, "w") as file:
        for key, value in content.items():
            if key in ("columns", "grid_name"):
                file.attrs[key] = value
            else:
                file[key] = value
    return path
