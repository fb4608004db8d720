"""Chains of emcee in files that are whole at any time, in the layout of emcee's HDF backend."""

from __future__ import annotations

import hashlib
from pathlib import Path

import emcee
import numpy as np
from emcee.backends import Backend

from ..data import Spectra
from ..data.hdf5 import new_hdf5, open_hdf5
from ..errors import InputError
from ..files import atomic_output
from ..model import XPModel

GROUP, POSTERIOR = "mcmc", "posterior"
"""Group of the file, as emcee names it; its attribute with the digest of what is sampled."""

_RANDOM_STATE = "random_state_"


class ChainFile(Backend):
    """A chain in memory, which `save` writes to a file in place of an earlier one.

    Parameters
    ----------
    path : Path
        If it exists, the chain goes on from there. emcee reads it as ``HDFBackend(path)``.
    posterior : str
        Digest of the posterior (`posterior_digest`).

    Raises
    ------
    InputError
        If the file is damaged, or of another posterior.
    """

    def __init__(self, path: Path, posterior: str):
        super().__init__()
        self.path, self.posterior = path, posterior
        if path.exists():
            self._read()

    def _read(self) -> None:
        """Take the chain from the file."""
        try:
            with open_hdf5(self.path) as file:
                group = file[GROUP]
                facts = dict(group.attrs)
                self.reset(facts["nwalkers"], facts["ndim"])
                self.iteration = int(facts["iteration"])
                for name in ("chain", "log_prob", "accepted"):
                    values = group[name][()]
                    if values.shape[1:] != getattr(self, name).shape[1:]:
                        raise ValueError(f"{name} has the shape {values.shape}")
                    setattr(self, name, values)
        except (OSError, LookupError, ValueError, TypeError) as error:
            raise InputError(
                f"{self.path}: not a chain, or a damaged one ({error}); remove it to sample anew"
            ) from error
        if facts.get(POSTERIOR) != self.posterior:
            raise InputError(
                f"{self.path}: the chain of another model, spectrum or seed; give the same ones, "
                "or remove it to sample anew"
            )
        names = sorted(name for name in facts if name.startswith(_RANDOM_STATE))
        self.random_state = tuple(facts[name] for name in names)

    def save(self) -> None:
        """Write the chain, whole or not at all.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        with atomic_output(self.path, overwrite=True) as part, new_hdf5(part) as file:
            group = file.create_group(GROUP)
            group.attrs.update(
                version=emcee.__version__, nwalkers=self.nwalkers, ndim=self.ndim,
                has_blobs=False, iteration=self.iteration, **{POSTERIOR: self.posterior},
            )  # fmt: skip
            for i, value in enumerate(self.random_state):
                group.attrs[f"{_RANDOM_STATE}{i}"] = value
            for name in ("chain", "log_prob", "accepted"):
                group[name] = getattr(self, name)


def posterior_digest(model: XPModel, spectra: Spectra, seed: int, *, model_covariance: bool) -> str:
    """SHA-256 of all that the chain of one star depends on.

    Parameters
    ----------
    model : XPModel
    spectra : Spectra
    seed : int
    model_covariance : bool

    Returns
    -------
    str
    """
    sha = hashlib.sha256(f"{model.fingerprint} {seed} {model_covariance}".encode())
    arrays = (spectra.source_id, spectra.flux, spectra.flux_err, spectra.parallax)
    for array in (*arrays, spectra.parallax_err):
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
