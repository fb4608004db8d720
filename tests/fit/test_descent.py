import numpy as np
from situations import near, objective_of, situation

from xpfit.fit.descent import Descents, iterate
from xpfit.fit.engines.array import ArrayEngine


def test_array_code_yields_every_row_once(rng):
    model, spectra, theta = situation("shapes", 9, rng)
    engine = ArrayEngine(model)
    descents = Descents.empty(np.arange(9), near(model, theta, rng, 0.5), engine.lm_settings)
    descents.set_evaluation(objective_of(model, spectra).evaluate(descents.theta))
    with np.errstate(all="ignore"):
        parts = list(iterate(objective_of(model, spectra), engine.lm_settings, descents, 100))
    rows = np.concatenate([rows for rows, _ in parts])
    np.testing.assert_array_equal(np.sort(rows), np.arange(9))
    assert len(parts) > 1
