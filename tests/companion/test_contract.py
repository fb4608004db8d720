"""What every companion does, whatever its kind."""

from dataclasses import fields, replace

import numpy as np
import pytest
from helpers import simulate

from xpfit import InputError
from xpfit.cli import main
from xpfit.companion import (
    KINDS,
    GaiaNetSettings,
    ScatterSettings,
    UncertainSettings,
)

LABELS = ("teff", "feh", "logg")
SETTINGS = {
    "uncertain": UncertainSettings(hidden=(16, 16), n_epochs=6, batch_size=64),
    "svae": ScatterSettings(hidden=(20, 10), n_latent=3, n_epochs=6, cycle=6, batch_size=64),
    "gaianet": GaiaNetSettings(
        n_channel=2, kernel=4, width=8, n_dense=2, n_epochs=3, batch_size=64
    ),
}


@pytest.fixture(scope="module")
def stars(model):
    """Simulated stars with ids and labels."""
    truth, spectra = simulate(model, 300, np.random.default_rng(1), relative_error=0.02)
    return replace(
        spectra,
        source_id=10**12 + 7 * np.arange(300),
        labels=dict(zip(LABELS, truth[:, :3].T, strict=True)),
        label_err={name: np.full(300, 0.03) for name in LABELS},
    )


def new(kind, settings=None):
    """A companion that is not trained yet."""
    return KINDS[kind](settings=settings or SETTINGS[kind], **(
        {} if kind == "svae" else {"label_names": LABELS}
    ))  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def trained(request, stars):
    return new(request.param).fit(stars, rng=np.random.default_rng(1), progress=False)


def arrays(prediction):
    """All numbers of a prediction by name."""
    found = {f.name: getattr(prediction, f.name) for f in fields(prediction)}
    found.pop("label_names", None)
    errors = found.pop("errors", {})
    return {**found, **errors}


def assert_same(one, other):
    one, other = arrays(one), arrays(other)
    assert one.keys() == other.keys()
    for name, values in one.items():
        # The order of sums in matrix products may depend on the number of rows.
        tolerance = {"rtol": 1e-4, "atol": 1e-5} if values.dtype.kind == "f" else {}
        np.testing.assert_allclose(other[name], values, **tolerance, err_msg=name)


def test_a_prediction_depends_on_no_other_star(trained, stars):
    some = stars[np.arange(6)]
    together = arrays(trained.predict(some))
    company = stars[np.random.default_rng(2).permutation(300)]
    mixed = arrays(trained.predict(company))
    for i in range(6):
        alone = arrays(trained.predict(some[[i]]))
        (place,) = np.flatnonzero(company.source_id == some.source_id[i])
        for name, values in together.items():
            for other in (alone[name][0], mixed[name][place]):
                # Single precision, and sums whose order depends on the number of rows.
                np.testing.assert_allclose(other, values[i], rtol=1e-4, atol=1e-5, err_msg=name)


def test_one_seed_gives_one_prediction(trained, stars):
    some = stars[np.arange(8)]
    assert_same(trained.predict(some), trained.predict(some, seed=1))
    if trained.kind != "svae":
        one, other = (trained.predict(some, seed=seed).total_err for seed in (1, 2))
        assert np.all(one != other)


def test_stars_of_equal_id_get_equal_draws(trained, stars):
    twins = replace(stars[[3, 3, 3]], source_id=np.zeros(3, dtype=int))
    for values in arrays(trained.predict(twins)).values():
        np.testing.assert_allclose(values, values[[0, 0, 0]], rtol=1e-4, atol=1e-5)


def test_a_model_without_labels_refuses_their_names(capsys, sample_path, tmp_path):
    with pytest.raises(InputError, match="predicts no labels, got teff, feh"):
        KINDS["svae"](("teff", "feh"))
    command = ["companion", "train", str(sample_path), "--kind", "svae", "--labels", "teff"]
    assert main([*command, "--output", str(tmp_path / "c.h5"), "--quiet"]) == 1
    assert "predicts no labels" in capsys.readouterr().err
