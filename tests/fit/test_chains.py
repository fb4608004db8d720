import h5py
import numpy as np
import pytest

from xpfit import InputError
from xpfit.fit.chains import GROUP, ChainFile


@pytest.fixture
def path(rng, tmp_path):
    """A chain of three steps of eight walkers, with room for two more."""
    chain = ChainFile(tmp_path / "chain.h5", "p")
    chain.reset(8, 2)
    chain.chain, chain.log_prob = rng.standard_normal((5, 8, 2)), np.zeros((5, 8))
    chain.iteration, chain.random_state = 3, np.random.RandomState(1).get_state()
    chain.save()
    return chain.path


def test_a_chain_goes_on_where_it_was(path):
    read = ChainFile(path, "p")
    assert (read.iteration, read.shape, len(read.chain)) == (3, (8, 2), 5)
    np.random.RandomState().set_state(read.random_state)


@pytest.mark.parametrize(
    "facts",
    [{"nwalkers": 10**12}, {"ndim": 3}, {"iteration": 9}, {"iteration": -1}, {"nwalkers": "x"},
     {"iteration": np.inf}, {"random_state_1": 3}, {"posterior": np.zeros(3)}],
)  # fmt: skip
def test_facts_that_do_not_fit_the_chain_are_refused(path, facts):
    with h5py.File(path, "r+") as file:
        file[GROUP].attrs.update(facts)
    with pytest.raises(InputError, match=r"chain\.h5.*(damaged|another)"):
        ChainFile(path, "p")


@pytest.mark.parametrize(
    ("name", "values"),
    [("chain", np.zeros(3)), ("log_prob", np.full((5, 8), np.nan)), ("accepted", np.zeros(3)),
     ("log_prob", np.zeros((3, 8))), ("chain", np.array([b"x"]))],
)  # fmt: skip
def test_arrays_that_are_no_chain_are_refused(path, name, values):
    with h5py.File(path, "r+") as file:
        del file[GROUP][name]
        file[GROUP][name] = values
    with pytest.raises(InputError, match=r"chain\.h5.*damaged"):
        ChainFile(path, "p")
