from dataclasses import replace

import numpy as np
import pytest

from xpfit import InputError
from xpfit.fit.engines.numba import NumbaEngine
from xpfit.nn import Dense, Network


def test_networks_that_the_kernel_does_not_support_are_refused(model, rng):
    forward = model.forward
    linear = Network([Dense(3, 4), Dense(4, forward.space.n_grid)])
    others = forward.parameters[forward.network.n_parameters :]
    parameters = np.concatenate([linear.initialise(rng), others])
    forward = replace(forward, network=linear, parameters=parameters)
    assert np.isfinite(forward.flux(np.zeros((1, forward.n_stellar)))).all()
    with pytest.raises(InputError, match="use the array engine"):
        NumbaEngine(replace(model, forward=forward))
