"""Flow-matching schedulers: levels as diffusers has them, steps, currencies and refusals."""

import math

import diffusers
import pytest
import torch
from small.sd3 import save_sd3

from conjure.core.errors import InputError
from conjure.core.estimands import girsanov_weights
from conjure.core.registry import find_estimand
from conjure.core.sampling import walk
from conjure.processes import load
from conjure.processes.flow_samplers import FlowSampler

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

EULER = diffusers.FlowMatchEulerDiscreteScheduler
DPM = diffusers.DPMSolverMultistepScheduler
FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
KINDS = {
    "euler": lambda: EULER(shift=3.0),
    "stochastic": lambda: EULER(shift=3.0, stochastic_sampling=True),
    "dynamic": lambda: EULER(use_dynamic_shifting=True),
    "terminal": lambda: EULER(shift_terminal=0.02),
    "karras": lambda: EULER(use_karras_sigmas=True),
    "dpm": lambda: DPM(flow_shift=3.0, **FLOW),
    "sde-dpm": lambda: DPM(flow_shift=3.0, algorithm_type="sde-dpmsolver++", **FLOW),
}
ARGUMENTS = {"dynamic": {"mu": 0.8}}


def sampler(kind, steps=5):
    return FlowSampler(KINDS[kind](), steps, **ARGUMENTS.get(kind, {}))


@pytest.mark.parametrize("kind", KINDS)
def test_levels_are_those_of_the_scheduler(kind):
    scheduler = KINDS[kind]()
    scheduler.set_timesteps(5, **ARGUMENTS.get(kind, {}))
    found = sampler(kind)
    assert found.levels == pytest.approx([float(s) for s in scheduler.sigmas], rel=1e-7)
    assert found.schedule.timesteps == pytest.approx([float(t) for t in scheduler.timesteps])
    assert found.schedule.fault() is None
    for level, ratio in zip(found.levels, found.schedule.sigmas, strict=True):
        assert ratio == (math.inf if level == 1 else pytest.approx(level / (1 - level)))


def test_a_static_shift_is_that_of_the_scheduler_and_not_of_its_configuration():
    """diffusers shifts once when the scheduler is made, and again when the steps are set."""
    once = 3 * 0.001 / (1 + 2 * 0.001)
    assert sampler("euler").levels[-2] == pytest.approx(3 * once / (1 + 2 * once), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_solver_steps_as_the_scheduler_does(kind):
    """Two rows, each with its own generator, against each of them alone under diffusers."""
    found, draw = sampler(kind), torch.Generator().manual_seed(0)
    start, velocities = (torch.randn(n, 2, 3, 4, 4, generator=draw) for n in (1, 5))
    solver, x = found.solver(), start[0]
    generators = [torch.Generator().manual_seed(n) for n in (7, 8)]
    for step, velocity in enumerate(velocities):
        x = solver.step(x, velocity, step, generators)
        assert x.dtype == torch.float32
    for row, seed in enumerate((7, 8)):
        scheduler, alone = KINDS[kind](), start[0, row : row + 1]
        scheduler.set_timesteps(5, **ARGUMENTS.get(kind, {}))
        noise = {"generator": torch.Generator().manual_seed(seed)}
        for velocity, t in zip(velocities, scheduler.timesteps, strict=True):
            alone = scheduler.step(velocity[row : row + 1], t, alone, **noise).prev_sample
        torch.testing.assert_close(x[row : row + 1], alone, rtol=1e-5, atol=1e-5)


def test_a_sampler_does_not_change_the_models_scheduler():
    scheduler = EULER(shift=3.0)
    before = scheduler.sigmas.clone()
    found = FlowSampler(scheduler, 4)
    solver, x = found.solver(), torch.zeros(1, 2)
    solver.step(x, x, 0, [])
    assert torch.equal(scheduler.sigmas, before)
    assert scheduler.step_index is None
    assert torch.equal(found.solver().step(x + 1, x, 0, []), x + 1)  # a history of its own


def test_currencies_are_what_a_velocity_says_of_the_same_point():
    """x = (1 − σ)x₀ + σε, v = ε − x₀, so what is compared has a closed form."""
    found = sampler("euler", steps=4)
    clean, noise = torch.randn(2, 100, dtype=torch.float64).unbind()
    velocity = noise - clean
    want = {
        "epsilon": lambda sigma: noise,
        "score": lambda sigma: noise / sigma,  # up to its sign
        "velocity": lambda sigma: velocity,
        "output": lambda sigma: velocity,
    }
    for compare, formula in want.items():
        factors = found.comparison_factors("flow_prediction", compare)
        for (c, d), sigma in zip(factors, found.levels[:-1], strict=True):
            x = (1 - sigma) * clean + sigma * noise
            torch.testing.assert_close(c * velocity + d * x, formula(sigma))
    assert found.comparison_factors("flow_prediction", "epsilon")[0][0] == 0  # σ = 1


def test_girsanovs_weight_is_finite_where_a_flow_starts():
    assert girsanov_weights(sampler("euler").schedule)[0] == 0.5


def test_girsanov_and_chain_are_refused_where_all_noise_is_drawn_anew():
    """x_{j+1} = (1 − σ)x̂₀ + σz, so at σ = 1 two chains differ where a difference of ε is 0."""
    schedule = sampler("stochastic").schedule
    assert schedule.stochastic
    for name in ("girsanov", "chain"):
        with pytest.raises(InputError, match="anew at each step|does not state its transitions"):
            find_estimand(name).check(schedule)
    find_estimand("girsanov").check(sampler("sde-dpm").schedule)


REFUSED = {
    "FlowMatchHeunDiscreteScheduler": diffusers.FlowMatchHeunDiscreteScheduler,
    "EulerDiscreteScheduler": diffusers.EulerDiscreteScheduler,
    "invert_sigmas": lambda: EULER(invert_sigmas=True),
    "use_flow_sigmas: False": lambda: DPM(prediction_type="flow_prediction"),
    "prediction_type: epsilon": lambda: DPM(use_flow_sigmas=True),
    "thresholding: True": lambda: DPM(thresholding=True, **FLOW),
}


@pytest.mark.parametrize("word", REFUSED)
def test_other_schedulers_are_refused_by_name(word):
    with pytest.raises(InputError, match=word):
        FlowSampler(REFUSED[word](), 4)


@pytest.mark.parametrize(
    ("scheduler", "steps", "word"),
    [
        (lambda: EULER(num_train_timesteps=10), 11, "the 10 the model was trained on"),
        (lambda: EULER(shift_terminal=0.1), 1, "cannot take 1 steps"),
        (lambda: DPM(use_karras_sigmas=True, **FLOW), 4, "cannot take 4 steps"),  # σ beyond 1
    ],
)
def test_steps_that_a_scheduler_cannot_take_are_refused(scheduler, steps, word):
    with pytest.raises(InputError, match=word):
        FlowSampler(scheduler(), steps)


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    return load(save_sd3(tmp_path_factory.mktemp("sd3") / "sd3"), steps=3, guidance=2.0)


def test_the_clean_end_is_told_by_the_velocity(process):
    clean, noise = torch.randn(2, 1, *process.latent_shape).unbind()
    for step, sigma in enumerate(
        s / (1 + s) if s < math.inf else 1 for s in process.schedule.sigmas[:3]
    ):
        x = (1 - sigma) * clean + sigma * noise
        torch.testing.assert_close(
            process.denoised(x, step, noise - clean), clean, atol=1e-5, rtol=0
        )


def test_the_last_step_ends_at_what_it_says_of_the_end(process):
    *_, last = walk(process, ["a dog"], [3], finish=True)
    guided = last.eps_uncond + 2 * (last.eps_cond - last.eps_uncond)
    torch.testing.assert_close(process.denoised(last.x, 2, guided), last.x_next)


def test_a_flow_model_keeps_its_own_sampler(process):
    with pytest.raises(InputError, match="keeps its own scheduler: lms does not fit it"):
        process.with_settings(sampler="lms")
