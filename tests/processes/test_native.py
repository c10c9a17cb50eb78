"""``sampler="native"`` against the pipeline's own call, with the scheduler that it came with."""

import json

import diffusers
import pytest
import torch
from folder_tools import edit_json, refusal
from small_pipelines import SD_SCHEDULER

import conjure
from conjure.core.errors import InputError
from conjure.core.sampling import walk
from conjure.processes import load
from conjure.processes.samplers import Sampler

# diffusers' schedulers hand torch tensors to numpy
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{name}:DeprecationWarning")
    for name in ("__array__ implementation", "__array_wrap__ must accept")
]

# The pipeline's constructor would set steps_offset and clip_sample to these, with a warning.
TRAINED = {
    name: SD_SCHEDULER[name]
    for name in ("beta_start", "beta_end", "beta_schedule", "steps_offset", "clip_sample")
}
TRAILING = {"timestep_spacing": "trailing"}
OWN = {  # name → class, configuration, does it draw, predictions at T = 4
    "pndm": (diffusers.PNDMScheduler, {"skip_prk_steps": True}, False, 5),
    "ddim thresholding": (diffusers.DDIMScheduler, {"thresholding": True}, False, 4),
    "ddpm": (diffusers.DDPMScheduler, {"variance_type": "fixed_small"}, True, 4),
    "ddpm large": (diffusers.DDPMScheduler, {"variance_type": "fixed_large"}, True, 4),
    "lms": (diffusers.LMSDiscreteScheduler, {"use_karras_sigmas": True}, False, 4),
    "euler trailing": (diffusers.EulerDiscreteScheduler, TRAILING, False, 4),
    "euler continuous": (
        diffusers.EulerDiscreteScheduler,
        {"timestep_type": "continuous", "prediction_type": "v_prediction"},
        False,
        4,
    ),
    "euler ancestral": (diffusers.EulerAncestralDiscreteScheduler, TRAILING, True, 4),
    "heun": (diffusers.HeunDiscreteScheduler, {}, False, 7),
    "dpm++": (diffusers.DPMSolverMultistepScheduler, {"use_karras_sigmas": True}, False, 4),
    "dpm++ sde": (
        diffusers.DPMSolverMultistepScheduler,
        {"algorithm_type": "sde-dpmsolver++"},
        True,
        4,
    ),
    "dpm singlestep": (diffusers.DPMSolverSinglestepScheduler, {}, False, 4),
    "unipc": (diffusers.UniPCMultistepScheduler, {}, False, 4),
    "deis": (diffusers.DEISMultistepScheduler, {}, False, 4),
    "lcm": (diffusers.LCMScheduler, {"original_inference_steps": 20}, True, 4),
}


def rescheduled(folder, kind, config):
    """The folder, now with this scheduler."""
    place = folder / "scheduler" / "scheduler_config.json"
    place.write_text(
        json.dumps({"_class_name": kind.__name__, "num_train_timesteps": 1000, **config})
    )
    edit_json(folder / "model_index.json", scheduler=["diffusers", kind.__name__])
    return folder


def own_call(folder, noise, generator, **settings):
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad():
        return pipeline(
            "a dog", latents=noise, generator=generator, output_type="latent", **settings
        ).images


def check(folder, steps, guidance, eta=0.0, **settings):
    process = load(folder, steps=steps, guidance=guidance, device="cpu", eta=eta, **settings)
    *_, last = walk(process, ["a dog"], [5], finish=True)
    generator = torch.Generator("cpu").manual_seed(5)
    noise = torch.randn(1, *process.latent_shape, generator=generator)
    found = own_call(
        folder, noise, generator, num_inference_steps=steps, guidance_scale=guidance, eta=eta
    )
    ours = last.x_next[0]
    assert (ours - found).norm() <= 1e-4 * found.norm()
    return process


@pytest.mark.parametrize(
    ("name", "steps", "guidance"),
    [*((name, 4, 7.5) for name in OWN), *((name, 7, 1.0) for name in ("pndm", "heun", "lcm"))],
)
def test_a_trajectory_is_the_pipelines_own(folder, name, steps, guidance):
    kind, config, draws, predictions = OWN[name]
    process = check(
        rescheduled(folder, kind, {**TRAINED, **config}), steps, guidance, sampler="native"
    )
    assert process.schedule.stochastic == draws
    assert process.settings["scheduler"] == kind.__name__
    assert process.schedule.renews == (name == "lcm")  # girsanov is refused
    if steps == 4:
        assert len(process.schedule) == predictions


@pytest.mark.parametrize("sampler", ["ddim", "native"])
@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_ddim_with_noise_is_the_pipelines_own(folder, sampler, eta):
    config = {**TRAINED, "set_alpha_to_one": False}
    rescheduled(folder, diffusers.DDIMScheduler, config)
    process = check(folder, 4, 7.5, eta, sampler=sampler)
    assert process.settings["eta"] == eta
    chain = conjure.distance("a dog", "a cat", process=process, estimand="chain").value
    assert 0 < chain < float("inf")


def test_noise_is_common_to_both_prompts_and_none_is_drawn_elsewhere(folder):
    rescheduled(folder, diffusers.EulerAncestralDiscreteScheduler, TRAINED)
    process = load(folder, sampler="native", steps=3, device="cpu")
    state = torch.get_rng_state()
    alone = conjure.distance("a dog", "a cat", process=process, samples=2).terms
    together = conjure.distances(
        [("a cow", "a dog"), ("a dog", "a cat")], process=process, samples=2
    )
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(together[1].terms.forward, alone.forward, rtol=1e-4, atol=1e-6)
    ends = []
    for step in walk(process, ["a dog", "b"], [3, 4], finish=True):
        ends.append(step.x_next)
    again = [step.x_next for step in walk(process, ["b"], [4], finish=True)]
    torch.testing.assert_close(ends[-1][1, 1], again[-1][0, 0], rtol=1e-3, atol=1e-4)


def test_changes_of_a_setting_keep_the_others(folder):
    rescheduled(folder, diffusers.PNDMScheduler, {**TRAINED, "skip_prk_steps": True})
    process = load(folder, sampler="native", steps=4, device="cpu")
    assert len(process.with_settings(guidance=2.0).schedule) == 5  # T = 4 was asked for
    assert process.with_settings(sampler="ddim", eta=0.5).settings["eta"] == 0.5
    noisy = process.with_settings(sampler="ddim", eta=0.5)
    assert noisy.with_settings(guidance=2.0).settings["eta"] == 0.5
    assert "eta" not in noisy.with_settings(sampler="euler").settings
    with pytest.raises(InputError, match="eta goes with the sampler ddim"):
        process.with_settings(sampler="lms", eta=0.5)
    with pytest.raises(InputError, match="no setting 'dtype' to change"):
        process.with_settings(dtype="float64")


@pytest.mark.parametrize(
    ("kind", "config", "says"),
    [
        (diffusers.KDPM2DiscreteScheduler, {}, "KDPM2DiscreteScheduler, is not walked as it is"),
        (diffusers.EDMEulerScheduler, {}, "EDMEulerScheduler, is not walked as it is"),
        (diffusers.DDPMScheduler, {"variance_type": "learned"}, "takes a learned variance"),
        (diffusers.UniPCMultistepScheduler, {"use_flow_sigmas": True}, "on flow sigmas"),
        (diffusers.LCMScheduler, {"original_inference_steps": 3}, "original"),
    ],
)
def test_what_cannot_be_walked_is_refused(folder, kind, config, says):
    rescheduled(
        folder, kind, {**TRAINED, **config} if kind is not diffusers.EDMEulerScheduler else {}
    )
    assert says in refusal(folder, sampler="native", device="cpu")


def test_eta_of_another_scheduler_is_refused(folder):
    rescheduled(folder, diffusers.DDPMScheduler, TRAINED)
    said = refusal(folder, sampler="native", eta=0.5, device="cpu")
    assert "eta goes with DDIM, not with the model's own DDPMScheduler" in said


@pytest.mark.parametrize("eta", [0.4, 1.0])
def test_ddim_with_noise_states_its_transitions(eta):
    """Shift and noise of a step, read off diffusers' own step by differences."""
    sampler = Sampler("ddim", 5, {**TRAINED, "num_train_timesteps": 1000}, eta)
    x = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0)).double()
    for j, transition in enumerate(sampler.schedule.transitions):

        def stepped(epsilon, seed, j=j):
            solver = sampler.solver()
            rows = [torch.Generator("cpu").manual_seed(seed)]
            return solver.step(x, torch.full_like(x, epsilon), j, rows)

        after = 1 / (1 + sampler.schedule.sigmas[j + 1] ** 2) ** 0.5
        shift = ((stepped(1.0, 7) - stepped(0.0, 7)) / after).mean()
        assert float(shift) == pytest.approx(transition.shift, rel=1e-5)
        spread = (stepped(0.0, 8) - stepped(0.0, 9)).std() / after / 2**0.5
        assert float(spread) == pytest.approx(transition.noise, rel=0.03)
