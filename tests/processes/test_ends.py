"""x_0 against the pipeline's own ``__call__``, where near pure noise an ε cancels: zero SNR."""

import diffusers
import pytest
import torch
from small_pipelines import SD_SCHEDULER

import conjure
from conjure.core.sampling import walk
from conjure.processes import load


class WideEuler(diffusers.EulerDiscreteScheduler):
    """diffusers' own, but for σ in float64: σ_1 − σ_0 in float32 is off by 1e-3 at σ_0 = 20,000."""

    def set_timesteps(self, *args, **given):
        super().set_timesteps(*args, **given)
        self.sigmas = self.sigmas.double()


KINDS = {"ddim": diffusers.DDIMScheduler, "euler": WideEuler, "ddpm": diffusers.DDPMScheduler}
PREDICTIONS = ["epsilon", "v_prediction", "sample"]
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
COSINE = {"beta_schedule": "squaredcos_cap_v2", "timestep_spacing": "trailing"}
# diffusers' schedulers hand torch tensors to numpy
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def models(pipelines):
    """The same small networks in float32 and float64."""
    dtypes = ("float32", "float64")
    return {(p, dtype): load(pipelines[p], dtype=dtype) for p in PREDICTIONS for dtype in dtypes}


def own_end(model, name, config, steps, guidance):
    """What the pipeline itself makes of seed 0, in the latents."""
    pipeline = model.pipeline
    pipeline.scheduler = KINDS[name].from_config(config)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 4, 8, 8, generator=generator)
    return pipeline(
        "a dog",
        negative_prompt="",
        num_inference_steps=steps,
        guidance_scale=guidance,
        latents=latents.to(pipeline.unet.dtype),
        generator=generator,
        output_type="latent",
    ).images


def our_end(model, name, config, steps, guidance):
    model.pipeline.scheduler = KINDS[name].from_config(config)
    process = model.with_settings(sampler=name, steps=steps, guidance=guidance)
    for step in walk(process, ["a dog"], [0], finish=True):
        end = step.x_next
    assert end.dtype == torch.float32
    return end[0]


@pytest.mark.parametrize("guidance", [1.0, 7.5])
@pytest.mark.parametrize("steps", [1, 2, 10])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("changes", [ZERO_SNR, COSINE], ids=["zero SNR", "cosine"])
def test_ends_are_the_pipelines_own(models, changes, name, prediction, steps, guidance):
    config = {**SD_SCHEDULER, "prediction_type": prediction, **changes}
    settings = (name, config, steps, guidance)
    if changes is ZERO_SNR and name != "euler" and prediction == "epsilon":
        # x₀ = (x − ε)/0: the pipeline itself gives infinity, and ours stands in a small α
        assert not own_end(models[prediction, "float32"], *settings).isfinite().all()
        assert our_end(models[prediction, "float32"], *settings).isfinite().all()
        return
    # the exact end; but a float64 run of ddpm draws its noise in float64, which is other noise
    exact = "float32" if name == "ddpm" else "float64"
    expected = own_end(models[prediction, exact], *settings).double()
    found = our_end(models[prediction, "float32"], *settings).double()
    assert (found - expected).norm() < 1e-4 * expected.norm()
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("changes", [ZERO_SNR, COSINE], ids=["zero SNR", "cosine"])
def test_all_samplers_start_from_the_same_noise_level(models, changes, prediction):
    """``initial`` is a matter of the schedule alone, in float32 as in float64."""
    found = {}
    for dtype in ("float32", "float64"):
        model = models[prediction, dtype]
        config = {**SD_SCHEDULER, "prediction_type": prediction, **changes}
        model.pipeline.scheduler = diffusers.DDIMScheduler.from_config(config)
        for sampler in ("ddim", "ddpm", "euler", "dpm-solver++"):
            process = model.with_settings(sampler=sampler, steps=4)
            result = conjure.distance(
                "a dog", "a violin", process=process, samples=2, estimand="initial"
            )
            found[sampler, dtype] = result.value
    reference = found.pop(("ddim", "float64"))
    assert list(found.values()) == pytest.approx([reference] * len(found), rel=1e-3)
