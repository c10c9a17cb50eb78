"""``compare=``: each currency's terms are those of what it names, by plain calls of the network."""

import pytest
import torch
from parity_tools import Points, predict_sd

import conjure
from conjure.core.divergence import measure
from conjure.core.errors import InputError
from conjure.core.spec import Spec
from conjure.processes import load

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
PROMPTS = ("a dog", "a violin")
KINDS = ("epsilon", "v_prediction", "sample")


@pytest.fixture(scope="module")
def processes(pipelines):
    return {kind: load(pipelines[kind], steps=3, device="cpu") for kind in KINDS}


def measured(process, record=()):
    points = Points()
    spec = Spec(record=frozenset(record))
    [(_, terms)] = measure(process, [PROMPTS], [5, 6], spec, observer=points)
    return terms, *points.joined()


def raw(process, x, step, prompt, guidance):
    """The guided output of the network as it comes, at x in the solver's scale: (n, …) float64."""
    scale = torch.tensor(process._sampler.input_scale, dtype=torch.float64)[step]
    scaled = (x.double() * scale.reshape(-1, 1, 1, 1)).float()
    t = torch.tensor(process.schedule.timesteps)[step]
    with torch.no_grad():
        null, cond = (predict_sd(process.pipeline, scaled, t, p).double() for p in (None, prompt))
    return null + guidance * (cond - null)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampler", ["lms", "ddim"])
def test_output_is_the_networks_own_prediction(processes, kind, sampler):
    process = processes[kind].with_settings(compare="output", sampler=sampler)
    terms, x, seed, step = measured(process, ["coupled"])
    at = seed - 5, step
    # prompt → its guided outputs on a's trajectory, and on b's
    found = {p: [raw(process, x[:, n], step, p, 7.5) for n in (0, 1)] for p in PROMPTS}
    a, b = (found[prompt] for prompt in PROMPTS)

    def gap(one, other):
        return (one - other).square().flatten(1).sum(dim=1)

    close = {"rtol": 1e-3, "atol": 1e-6}
    torch.testing.assert_close(terms.forward[at], gap(a[0], b[0]), **close)
    torch.testing.assert_close(terms.backward[at], gap(a[1], b[1]), **close)
    coupled = gap(a[0], b[1]) + gap(a[1], b[0])
    torch.testing.assert_close(terms.coupled[at], coupled, **close)


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_currencies_are_factors_a_step(processes, kind):
    process = processes[kind]
    terms, *_ = measured(process)
    sigma_hat = torch.tensor(process.schedule.sigmas[:-1], dtype=torch.float64)
    alpha = (1 + sigma_hat**2) ** -0.5
    sigma = alpha * sigma_hat
    laws = {"epsilon": torch.ones(3), "score": 1 / sigma, "velocity": 1 / alpha}
    own = {"epsilon": torch.ones(3), "v_prediction": 1 / alpha, "sample": sigma / alpha}[kind]
    for compare, factor in {**laws, "output": own}.items():
        found, *_ = measured(process.with_settings(compare=compare))
        torch.testing.assert_close(found.forward, terms.forward * factor.double() ** 2)
        assert found.compare == compare


def test_it_is_a_setting_of_the_process(pipelines):
    process = load(pipelines["v_prediction"], compare="velocity", steps=2, device="cpu")
    assert process.compare == process.with_settings(steps=3).compare == "velocity"
    assert conjure.distance("a dog", "a dog", process=process).value == 0.0
    line = str(conjure.distance(*PROMPTS, process=process).signature)
    assert "|compare:velocity|" in line
    with pytest.raises(InputError, match="girsanov.* reads differences of ε"):
        conjure.distance(*PROMPTS, process=process, estimand="girsanov")


def test_a_v_models_output_and_velocity_are_one_number_and_two_signatures(processes):
    found = [
        conjure.distance(*PROMPTS, process=processes["v_prediction"].with_settings(compare=name))
        for name in ("output", "velocity")
    ]
    assert found[0].value == found[1].value
    assert found[0].signature != found[1].signature
