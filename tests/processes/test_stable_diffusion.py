import gc
import os
import subprocess
import sys
import warnings

import diffusers
import pytest
import torch

import conjure
from conjure.core.errors import InputError, PromptTruncatedWarning
from conjure.core.process import GenerativeProcess
from conjure.core.spec import Spec, sign
from conjure.processes import load
from conjure.processes.devices import default_batch_size, find_device
from conjure.processes.family import Opened
from conjure.processes.settings import Choice, ProcessSettings
from conjure.processes.stable_diffusion import FAMILY, StableDiffusion


@pytest.fixture(scope="module")
def process(pipelines):
    return load(pipelines["epsilon"], steps=4)


def test_it_keeps_the_contract_of_a_generative_process(process):
    assert isinstance(process, GenerativeProcess)
    assert (process.sampler, process.guidance, process.dtype) == ("lms", 7.5, "float32")
    assert process.latent_shape == (4, 8, 8)
    assert process.device == torch.device("cuda" if torch.cuda.is_available() else "cpu")


def test_the_papers_settings_are_the_default(pipelines):
    process = load(pipelines["epsilon"])
    assert (process.sampler, len(process.schedule), process.guidance) == ("lms", 10, 7.5)
    assert process.schedule.initial_scale == pytest.approx(14.61, abs=0.01)


def test_nothing_but_what_is_needed_is_loaded_and_it_is_in_eval_mode(process):
    pipeline = process.pipeline
    assert pipeline.safety_checker is None
    assert pipeline.feature_extractor is None
    for network in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        assert not network.training


@pytest.mark.parametrize("model", ["epsilon", "v_prediction", "albert"])
def test_small_networks_have_unit_scale_and_listen(pipelines, model):
    process = load(pipelines[model], steps=4, device="cpu")
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)).repeat(2, 1, 1, 1)
    told = process.embed(["a dog", "a violin"]).rows([0, 0, 1, 1])
    x = x * process.schedule.initial_scale
    dog, violin = process.predict(x, torch.zeros(4, dtype=torch.long), told).split(2)
    assert 0.5 < dog.std() < 2
    assert (dog - violin).norm() > 0.02 * dog.norm()


@pytest.mark.parametrize("model", ["epsilon", "albert"])
def test_text_goes_the_way_of_stable_diffusion_pipeline(pipelines, model):
    process = load(pipelines[model], device="cpu", batch_size=2)
    prompts = ["a dog", "", "a violin"]
    states = process.embed(prompts).tensors["encoder_hidden_states"]
    expected = process.pipeline.encode_prompt(prompts, process.device, 1, False)[0]
    assert states.shape == (3, 16, 32)
    torch.testing.assert_close(states, expected, rtol=1e-5, atol=1e-6)


def test_the_masked_encoder_does_not_see_padding(pipelines):
    """Without the mask, "a" would read differently with another number of padding tokens."""
    process = load(pipelines["albert"], device="cpu")
    tokenizer, encoder = process.pipeline.tokenizer, process.pipeline.text_encoder
    short = encoder(tokenizer("a dog", return_tensors="pt").input_ids)[0]
    padded = process.embed(["a dog"]).tensors["encoder_hidden_states"][:, : short.shape[1]]
    torch.testing.assert_close(padded, short, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sampler", ["lms", "ddim"])
@pytest.mark.parametrize("model", ["epsilon", "v_prediction", "sample"])
def test_rows_may_stand_at_different_steps(pipelines, model, sampler):
    process = load(pipelines[model], sampler=sampler, steps=4, device="cpu")
    x = 3 * torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    told = process.embed(["a dog", "a violin"]).rows([0, 1, 0, 1])
    step = torch.tensor([3, 0, 1, 2])
    mixed = process.predict(x, step, told)
    alone = torch.cat([process.predict(x[[n]], step[[n]], told.rows([n])) for n in range(4)])
    torch.testing.assert_close(mixed, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("model", ["epsilon", "v_prediction"])
def test_half_precision_stays_inside_the_network(pipelines, model, dtype):
    process = load(pipelines[model], dtype=dtype, steps=4, device="cpu")
    exact = load(pipelines[model], dtype="float64", steps=4, device="cpu")
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    x = x.to(process.latent_dtype) * process.schedule.initial_scale
    step = torch.tensor([1])
    out = process.predict(x, step, process.embed(["a dog"]))
    reference = exact.predict(x.double(), step, exact.embed(["a dog"]))
    assert process.pipeline.unet.dtype == getattr(torch, dtype)
    # a converted prediction stays wide for the solver, which rounds what it returns
    converted = dtype == "float64" or model == "v_prediction"
    assert out.dtype == (torch.float64 if converted else torch.float32)
    assert process.solver().step(x, out, 0, []).dtype == process.latent_dtype
    error = (out - reference).norm() / reference.norm()
    assert error < {"float64": 1e-12, "float32": 1e-5, "float16": 5e-3, "bfloat16": 5e-2}[dtype]


def test_a_truncated_prompt_is_reported_once_with_its_token_counts(pipelines):
    process = load(pipelines["epsilon"])
    long = "a dog and a cat and a bird"
    count = len(process.pipeline.tokenizer(long).input_ids)
    with pytest.warns(PromptTruncatedWarning, match=rf"reads 16 tokens.* has {count}.*{long}") as r:
        process.embed([long, "a dog", long])
    assert len(r) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        process.embed([long, "abc def", ""])  # the second is short, the first was reported
    with pytest.warns(PromptTruncatedWarning):
        process.embed([long + " too"])


@pytest.mark.parametrize("model", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("step", [0, 2])
def test_what_a_prediction_says_of_the_end_is_what_the_scheduler_says(pipelines, model, step):
    process = load(str(pipelines[model]), sampler="ddim", steps=4)
    x = torch.randn(2, *process.latent_shape, generator=torch.Generator().manual_seed(3))
    cond = process.embed(["a dog", "a violin"])
    prediction = process.predict(x, torch.full((2,), step), cond)
    scheduler = diffusers.DDIMScheduler.from_config(
        process.pipeline.scheduler.config, clip_sample=False, thresholding=False
    )
    scheduler.set_timesteps(4)
    t = scheduler.timesteps[step]
    out = process.network(x, t, encoder_hidden_states=cond.tensors["encoder_hidden_states"]).sample
    expected = scheduler.step(out, t, x).pred_original_sample
    torch.testing.assert_close(
        process.denoised(x, step, prediction), expected, rtol=1e-4, atol=1e-3
    )


def test_latents_are_decoded_to_pictures(process):
    latents = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    pictures = process.decode(latents)
    assert pictures.shape == (3, 3, 16, 16)
    assert pictures.dtype == torch.float32
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    assert pictures.std() > 1e-3
    vae = process.pipeline.vae
    with torch.no_grad():
        raw = vae.decode(latents.to(vae.device) / vae.config.scaling_factor).sample
    torch.testing.assert_close(pictures, (raw / 2 + 0.5).clamp(0, 1), rtol=1e-4, atol=1e-5)


def build(pipeline):
    opened = Opened(pipeline, "x", "", Choice(), FAMILY)
    return StableDiffusion(opened, torch.device("cpu"), ProcessSettings())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"in_channels": 9}, "takes more than latents"),
        ({"time_cond_proj_dim": 256}, "distilled"),
    ],
)
def test_a_network_that_text_alone_does_not_condition_is_refused(pipelines, change, says):
    pipeline = load(pipelines["epsilon"]).pipeline
    pipeline.unet.register_to_config(**change)
    with pytest.raises(InputError, match=says):
        build(pipeline)


def test_an_unknown_kind_of_prediction_is_refused(pipelines):
    pipeline = load(pipelines["epsilon"]).pipeline
    pipeline.scheduler.register_to_config(prediction_type="flow_prediction")
    with pytest.raises(InputError, match="flow_prediction"):
        build(pipeline)


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "meta"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_fetched(name):
    with pytest.raises(InputError, match=r"cannot be used here; there is cpu") as caught:
        load("some/model", device=name)
    assert "\n" not in str(caught.value)
    assert find_device("cpu", "bfloat16") == torch.device("cpu")


@pytest.mark.parametrize(
    ("device", "size", "rows"),
    [("cpu", 8, 32), ("cpu", 64, 4), ("cuda", 64, 16), ("cuda", 8, 256), ("cuda", 96, 7)],
)
def test_the_default_batch_fits_device_and_size(device, size, rows):
    assert default_batch_size(torch.device(device), (4, size, size)) == rows


@pytest.mark.parametrize("running", [True, False])
def test_loading_leaves_the_garbage_collector_as_it_was(pipelines, running):
    try:
        gc.enable() if running else gc.disable()
        load(pipelines["epsilon"], steps=2)
        assert gc.isenabled() is running
        with pytest.raises(InputError):
            load("./nowhere")
        assert gc.isenabled() is running
    finally:
        gc.enable()


def test_loading_is_quiet_and_leaves_malloc_as_it_was(pipelines):
    """Nothing on stdout or stderr: no bar, no remark of a library. The command line tells malloc
    what to keep; the library does not."""
    code = """if True:
        import ctypes, sys
        called, plain = [], ctypes.CDLL
        class Library(plain):
            def __getattr__(self, name):
                called.append(name)
                return super().__getattr__(name)
        ctypes.CDLL = Library
        import conjure
        conjure.load(sys.argv[1], steps=2).embed(['a dog'])
        assert 'mallopt' not in called, called
        from conjure.cli.process_wide import keep_freed_memory
        assert not keep_freed_memory() or 'mallopt' in called  # so that the probe is seen to work
    """
    done = subprocess.run(
        [sys.executable, "-c", code, pipelines["epsilon"]],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_other_settings_of_a_loaded_model_are_what_loading_it_with_them_gives(pipelines):
    process = load(pipelines["epsilon"], steps=4, device="cpu", dtype="float64")
    before = process.schedule
    other = process.with_settings(sampler="ddim", guidance=3)
    loaded = load(
        pipelines["epsilon"], steps=4, sampler="ddim", guidance=3, device="cpu", dtype="float64"
    )
    assert other.pipeline is process.pipeline  # no second copy of the weights
    assert (process.sampler, process.guidance, process.schedule) == ("lms", 7.5, before)
    facts = [str(sign(p, Spec())) for p in (other, loaded)]
    assert facts[0] == facts[1]
    values = [conjure.distance("a dog", "a violin", process=p).value for p in (other, loaded)]
    assert values[0] == pytest.approx(values[1], rel=1e-12)
    assert values[0] != pytest.approx(
        conjure.distance("a dog", "a violin", process=process).value, rel=1e-3
    )
    assert len(process.with_settings(steps=7).schedule) == 7
    with pytest.raises(InputError, match="unknown sampler 'heun'"):
        process.with_settings(sampler="heun")
