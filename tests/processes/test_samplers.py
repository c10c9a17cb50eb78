from itertools import pairwise

import diffusers
import pytest
import torch

from conjure.core.errors import InputError
from conjure.core.estimands import chain_weights
from conjure.processes.samplers import Sampler, from_epsilon, to_epsilon
from conjure.processes.settings import SAMPLERS

STOCHASTIC = {"euler-ancestral", "ddpm"}
CONFIG = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
SHAPE = (4, 2, 2)


def generators(*seeds):
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def walk(sampler, x, predict, seeds):
    """x_T → x_0 for a network given as a function of x/α and σ̂."""
    solver, schedule, rows = sampler.solver(), sampler.schedule, generators(*seeds)
    for j, sigma in enumerate(schedule.sigmas[:-1]):
        scaled = x * sampler.input_scale[j] * (sigma**2 + 1) ** 0.5
        x = solver.step(x, predict(scaled, sigma), j, rows)
    return x


@pytest.mark.parametrize("name", SAMPLERS)
def test_schedule_holds_the_noise_levels_of_its_timesteps(name):
    schedule = Sampler(name, 10, CONFIG).schedule
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alpha_bar = (1 - betas).cumprod(0)[[int(t) for t in schedule.timesteps]]
    expected = ((1 - alpha_bar) / alpha_bar).sqrt()
    torch.testing.assert_close(
        torch.tensor(schedule.sigmas[:-1], dtype=torch.float64), expected, rtol=1e-4, atol=0
    )
    assert len(schedule) == 10
    assert len(schedule.sigmas) == 11
    assert all(later < earlier for earlier, later in pairwise(schedule.sigmas))
    assert schedule.stochastic == (name in STOCHASTIC)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_network_that_knows_the_picture_is_brought_to_it(name):
    """ε̂ = (x/α − x₀)/σ̂ is exact for one picture, so every sampler ends there, in any scale."""
    sampler = Sampler(name, 10, CONFIG)
    picture = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(1))
    x = walk(
        sampler,
        noise * sampler.schedule.initial_scale,
        lambda scaled, sigma: (scaled - picture) / sigma,
        seeds=(0, 1),
    )
    # where DDIM ends by SD's configuration: ᾱ₀, a residual noise of 0.03
    torch.testing.assert_close(x, picture, rtol=0, atol=3 * sampler.schedule.sigmas[-1] + 2e-3)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_rows_noise_is_its_generators_alone(name):
    """Equal generators give equal noise in any batch; another seed moves a stochastic one only."""
    sampler = Sampler(name, 4, CONFIG)
    start = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1))

    def drift(scaled, sigma):
        return 0.1 * scaled

    together = walk(sampler, start.repeat(3, 1, 1, 1), drift, seeds=(5, 5, 6))
    alone = walk(sampler, start, drift, seeds=(5,))
    assert torch.equal(together[0], together[1])
    assert torch.equal(together[0], alone[0])
    assert torch.equal(together[0], together[2]) == (name not in STOCHASTIC)


def test_two_solvers_share_no_history():
    sampler = Sampler("lms", 3, CONFIG)
    x = torch.ones(1, *SHAPE)
    first, other = sampler.solver(), sampler.solver()
    one_step = first.step(x, x, 0, generators(0))
    other.step(5 * x, -x, 0, generators(0))
    two_steps = first.step(one_step, x, 1, generators(0))
    again = sampler.solver()
    assert torch.equal(again.step(again.step(x, x, 0, []), x, 1, []), two_steps)


def test_a_saved_clip_or_prediction_does_not_reach_the_latents():
    """Predictions come as ε and latents go beyond ±1, whatever the model's configuration says."""
    config = diffusers.DDIMScheduler(prediction_type="v_prediction", clip_sample=True).config
    x = torch.full((1, *SHAPE), 5.0)
    moved = Sampler("ddim", 1, config).solver().step(x, torch.zeros_like(x), 0, [])
    assert moved.min() > 100  # x₀ = x/α at the noisiest step, far beyond what clipping leaves


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
def test_one_step_starts_from_pure_noise(name, spacing):
    sampler = Sampler(name, 1, {**CONFIG, "timestep_spacing": spacing})
    assert sampler.schedule.timesteps == (999.0,)


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - {"lms"}))
def test_zero_terminal_snr_gives_finite_noise(name):
    config = {**CONFIG, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    sampler = Sampler(name, 4, config)
    assert sampler.schedule.sigmas[0] == pytest.approx(4096, rel=1e-3)
    x = torch.ones(1, *SHAPE)
    assert sampler.solver().step(x, x, 0, generators(0)).isfinite().all()


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("steps", [2, 3, 10, 50])
@pytest.mark.parametrize("name", sorted(STOCHASTIC))
def test_transitions_are_what_the_scheduler_does(name, steps, prediction):
    """Two ε from the same x and noise tell the shift, two noises from the same ε the spread."""
    sampler = Sampler(name, steps, {**CONFIG, "prediction_type": prediction})
    schedule = sampler.schedule
    x = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(0)).double()
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    for j, (shift, noise) in enumerate(schedule.transitions):

        def step(epsilon, seed, j=j):
            solver = sampler.solver()
            for i in range(j):  # a scheduler counts its steps
                solver.step(x, zero, i, generators(0))
            after = solver.step(x, epsilon, j, generators(seed))
            scale = (schedule.sigmas[j + 1] ** 2 + 1) ** 0.5 if name == "ddpm" else 1.0
            return after * scale  # x/α

        moved = (step(one, 5) - step(zero, 5)).mean()
        assert float(moved) == pytest.approx(shift, rel=2e-6)
        drawn = [torch.randn(SHAPE, generator=g, dtype=x.dtype) for g in generators(5, 6)]
        spread = (step(zero, 5) - step(zero, 6))[0] / (drawn[0] - drawn[1])
        torch.testing.assert_close(
            spread, torch.full_like(spread, noise), rtol=1e-4, atol=1e-6 * schedule.sigmas[j]
        )
    assert schedule.transitions[-1].noise == 0
    # so the weights are those of a divergence between Gaussians, ½ (1 − r)/r
    ratios = [(then / now) ** 2 for now, then in pairwise(schedule.sigmas)][:-1]
    expected = [0.5 * (1 - r) / r for r in ratios] + [0.0]
    assert chain_weights(schedule).tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - STOCHASTIC))
def test_a_deterministic_sampler_states_no_transitions(name):
    assert Sampler(name, 10, CONFIG).schedule.transitions is None


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_a_small_alpha_is_kept_as_it_is(prediction):
    """The cosine schedule ends at ᾱ = 2.4e-9, below what stands for a true zero."""
    config = {
        **CONFIG,
        "beta_schedule": "squaredcos_cap_v2",
        "timestep_spacing": "trailing",
        "prediction_type": prediction,
    }
    alpha_bar = float(diffusers.DDIMScheduler.from_config(config).alphas_cumprod[-1])
    assert 1e-9 < alpha_bar < 2**-24
    for name in ("ddim", "ddpm", "euler", "dpm-solver++"):
        sigma = Sampler(name, 4, config).schedule.sigmas[0]
        assert sigma == pytest.approx(((1 - alpha_bar) / alpha_bar) ** 0.5, rel=1e-5)


@pytest.mark.parametrize("prediction", ["v_prediction", "sample"])
@pytest.mark.parametrize("name", ["ddim", "ddpm"])
def test_a_true_zero_reaches_the_scheduler(name, prediction):
    """At α = 0, where x is noise alone, x₀ is what the network says, whatever x is."""
    config = {
        **CONFIG,
        "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
        "prediction_type": prediction,
    }
    sampler = Sampler(name, 1, config)
    [(alpha, sigma)] = sampler.alpha_sigma
    x = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(0))
    picture = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(1))
    out = picture if prediction == "sample" else -picture
    epsilon = to_epsilon(out.double(), x.double(), alpha, sigma, prediction)
    found = sampler.solver().step(x, epsilon, 0, generators(0))
    assert found.dtype == torch.float32
    scale = float(diffusers.DDIMScheduler.from_config(config).final_alpha_cumprod) ** 0.5
    if name == "ddim":  # which ends at ᾱ₀
        picture = scale * picture + (1 - scale**2) ** 0.5 * x
    torch.testing.assert_close(found, picture, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_a_prediction_is_found_again_in_its_epsilon(prediction):
    alpha, x = 2.0**-12, torch.randn(SHAPE, dtype=torch.float64)
    out = torch.randn(SHAPE, dtype=torch.float64)
    given = alpha, (1 - alpha**2) ** 0.5, prediction
    again = from_epsilon(to_epsilon(out, x, *given), x, *given)
    torch.testing.assert_close(again, out, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("name", "steps", "changes", "says"),
    [
        ("lms", 1001, {}, "1001 steps are more than the 1000"),
        ("ddim", 1000, {}, "ddim cannot take 1000 steps"),  # leading, offset 1: timestep 1000
        ("dpm-solver++", 999, {"timestep_spacing": "leading"}, "cannot take 999 steps"),
        ("euler", 499, {"timestep_spacing": "trailing"}, "cannot take 499 steps"),
        ("lms", 10, {"rescale_betas_zero_snr": True}, "choose another sampler"),
    ],
)
def test_steps_that_the_model_does_not_have_are_refused(name, steps, changes, says):
    with pytest.raises(InputError, match=says):
        Sampler(name, steps, {**CONFIG, **changes})
