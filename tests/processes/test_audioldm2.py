"""AudioLDM2: a text does not depend on its company, sounds are drawn as spectrograms, refusals."""

import json

import pytest
import torch
from folder_tools import edit_json, refusal
from small.audioldm2 import save_audioldm2
from transformers import GPT2LMHeadModel

import conjure
from conjure.cli.main import main
from conjure.core.errors import PromptTruncatedWarning
from conjure.core.spec import process_key
from conjure.processes import load

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_audioldm2(tmp_path_factory.mktemp("audio") / "audioldm2")


@pytest.fixture(scope="module")
def process(folder):
    return load(folder, sampler="native", steps=2, device="cpu")


def test_a_text_does_not_depend_on_its_company(process):
    alone = process.embed(["a dog"]).tensors
    beside = process.embed(["a dog", "a longer text of many letters"]).tensors
    for name, tensor in alone.items():
        assert torch.equal(beside[name][:1], tensor)
    states, _, generated = process.pipeline.encode_prompt(
        ["a dog", "a longer text of many letters"], "cpu", 1, False
    )
    assert states.shape[1] > 20  # the pipeline's own do, which is why
    assert (generated[:1] - alone["generated"]).abs().max() > 1


def test_padding_is_masked(process):
    """The network's answer is that of the states without their padding."""
    x, step = torch.ones(1, *process.latent_shape), torch.tensor([0])
    cond = process.embed(["a dog"])
    assert cond.tensors["states"].shape[1] == 40
    states, mask, generated = process.pipeline.encode_prompt("a dog", "cpu", 1, False)
    told = {"generated": generated, "states": states, "mask": mask}
    bare = process.run_network(process.network, x, process._timesteps[:1], told)
    torch.testing.assert_close(process.predict(x, step, cond), bare, rtol=1e-5, atol=1e-5)
    shown = {**cond.tensors, "mask": torch.ones_like(cond.tensors["mask"])}
    unmasked = process.run_network(process.network, x, process._timesteps[:1], shown)
    assert (unmasked - bare).norm() > 1e-3 * bare.norm()


def test_its_latents_are_time_by_frequency_and_so_are_its_pictures(process):
    assert process.latent_shape == (4, 8, 4)
    assert process_key(process)["max_sequence_length"] == 40
    latents = torch.randn(2, 4, 8, 4)
    drawn = process.decode(latents)
    assert drawn.shape == (2, 3, 16, 8)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    mel = process.pipeline.vae.decode(process.unscale(latents)).sample[0, 0]  # (time, frequency)
    expected = ((mel - torch.log(torch.tensor(1e-5))) / torch.log(torch.tensor(1e6))).clamp(0, 1)
    torch.testing.assert_close(drawn[0, 1], expected, rtol=0, atol=1e-3)


def test_the_command_line_measures_and_shows_a_folder(folder, capsys, tmp_path):
    flags = ["--process", str(folder), "--steps", "2", "--device", "cpu"]
    assert main(["distance", "a dog", "a cat", *flags, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["value"] > 1
    assert found["guidance"] == 3.5
    assert main(["show", "a dog", "a cat", *flags, "--out", str(tmp_path / "x.png")]) == 0
    assert (tmp_path / "x.png").stat().st_size > 500


def test_a_negative_prompt_is_subtracted(process):
    told = process.with_settings(negative_prompt="low quality")
    null, expected = told.unconditional().tensors, told.embed(["low quality"]).tensors
    assert all(torch.equal(null[name], expected[name]) for name in null)
    values = {conjure.distance("a dog", "a cat", process=p).value for p in (process, told)}
    assert len(values) == 2


def test_a_text_that_is_cut_warns_by_the_tokenizer_that_cuts_it(process):
    with pytest.warns(PromptTruncatedWarning, match="by its tokenizer_2, reads 40 tokens"):
        process.embed(["a" * 50])


def test_folders_that_name_the_language_model_without_its_head_are_read(tmp_path, process):
    folder = save_audioldm2(tmp_path / "old")
    place = folder / "language_model"
    model = GPT2LMHeadModel.from_pretrained(place)
    for path in place.iterdir():
        path.unlink()
    model.transformer.save_pretrained(place)
    edit_json(place / "config.json", max_new_tokens=8)
    edit_json(folder / "model_index.json", language_model=["transformers", "GPT2Model"])
    old = load(folder, sampler="native", steps=2, device="cpu")
    given, expected = old.embed(["a dog"]).tensors, process.embed(["a dog"]).tensors
    for name, tensor in given.items():
        torch.testing.assert_close(tensor, expected[name])


def test_what_is_not_known_is_refused(folder, tmp_path):
    assert "takes pictures of 8x16 alone: leave size out" in refusal(folder, size=64, device="cpu")
    other = save_audioldm2(tmp_path / "speech")
    edit_json(other / "model_index.json", text_encoder_2=["transformers", "VitsModel"])
    assert "the one for speech, which reads phonemes" in refusal(other)
    edit_json(other / "model_index.json", text_encoder_2=["transformers", "T5EncoderModel"])
    edit_json(other / "model_index.json", unet=["audioldm", "AudioLDM2UNet2DConditionModel"])
    assert "says that its unet is" in refusal(other)
