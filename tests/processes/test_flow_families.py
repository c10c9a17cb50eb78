"""Flow-matching families: what they recommend, sign, read of a text, and refuse."""

import json

import pytest
import torch
import transformers
from folder_tools import edit_json, refusal
from small import flux, flux2_klein, qwen_image, sana, sd3, z_image
from small.building import t5_text

import conjure
from conjure.cli.main import main
from conjure.core.errors import InputError, PromptTruncatedWarning, UnknownTokensWarning
from conjure.core.spec import Spec, process_key
from conjure.processes import load
from conjure.processes.flow import FlowProcess, image_shift
from conjure.processes.sana import INSTRUCTION

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("flows")
    sd3.save_sd3(root / "sd3", t5=False)
    flux.save_flux(root / "dev")
    flux.save_flux(root / "schnell", dev=False)
    sana.save_sana(root / "sana")
    z_image.save_z_image(root / "z-image")
    qwen_image.save_qwen_image(root / "qwen-image")
    flux2_klein.save_klein(root / "klein", distilled=True)
    flux2_klein.save_klein(root / "klein-base")
    return root


@pytest.fixture(scope="module")
def processes(folders):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(FlowProcess, "native_sides", (8, 8))
        yield {folder.name: load(folder) for folder in folders.iterdir()}


RECOMMENDED = {  # T, what the user gives, w, mode
    "sd3": (28, 7.0, 7.0, "classifier-free"),
    "dev": (28, 3.5, 3.5, "distilled"),
    "schnell": (4, 1.0, 1.0, "none"),
    "sana": (20, 4.5, 4.5, "classifier-free"),
    "z-image": (9, 0.0, 1.0, "classifier-free"),
    "qwen-image": (50, 4.0, 4.0, "internal"),
    "klein": (4, 1.0, 1.0, "none"),
    "klein-base": (50, 4.0, 4.0, "classifier-free"),
}


@pytest.mark.parametrize("name", RECOMMENDED)
def test_what_a_family_recommends_is_in_the_signature(processes, name):
    process, (steps, told, w, mode) = processes[name], RECOMMENDED[name]
    key = process_key(process)
    assert (key["sampler"], key["steps"], key["guidance_scale"], key["guidance"]) == (
        "native",
        steps,
        w,
        mode,
    )
    assert process.told_guidance == told
    assert key["max_sequence_length"] in (256, 300, 512)


def test_the_signature_tells_texts_that_are_read_otherwise(processes):
    assert process_key(processes["dev"])["max_sequence_length"] == 512
    assert process_key(processes["schnell"])["max_sequence_length"] == 256
    assert process_key(processes["sana"])["instruction"].startswith("sha256-")
    assert "User Prompt: " in INSTRUCTION


def test_a_told_guidance_is_the_pipelines_own_number(processes):
    other = processes["z-image"].with_settings(guidance=2.5)
    assert other.guidance == 3.5  # pos + g (pos − neg)
    assert process_key(other)["pipeline_guidance_scale"] == 2.5
    assert other.with_settings(steps=3).guidance == 3.5  # told again, not shifted again
    assert processes["z-image"].unconditional() is None
    assert other.unconditional() is not None


def test_flux_hears_the_guidance_it_is_told(processes):
    process, noise = processes["dev"], torch.randn(1, 4, 8, 8)
    cond, step = process.embed(["a dog"]), torch.tensor([0])
    one, other = (process.with_settings(guidance=w).predict(noise, step, cond) for w in (1.0, 9.0))
    assert (one - other).std() > 1e-3
    assert process.unconditional() is None


def test_flux_may_guide_with_a_prompt_to_subtract_besides(processes):
    process = processes["dev"].with_settings(true_cfg_scale=3.0, negative_prompt="a violin")
    key = process_key(process)
    assert (key["guidance_scale"], key["guidance"]) == (3.0, "classifier-free")
    assert (key["told_guidance"], key["negative_prompt"]) == (3.5, "a violin")
    assert process.unconditional() is not None
    assert process_key(processes["dev"])["guidance"] == "distilled"
    with pytest.raises(InputError, match="subtracts nothing"):
        processes["dev"].with_settings(true_cfg_scale=1, negative_prompt="a violin")


@pytest.mark.parametrize("name", ["sd3", "sana", "z-image"])
def test_float64_is_the_same_process(folders, name):
    size = None if name in ("sd3", "sana") else 16
    kinds = ("float32", "float64")
    loaded = [load(folders / name, dtype=dtype, steps=2, size=size) for dtype in kinds]
    found = [conjure.distance("a dog", "a violin", process=each).value for each in loaded]
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_mu_grows_with_the_picture():
    config = {"base_image_seq_len": 256, "max_image_seq_len": 4096}
    assert image_shift(config, (16, 32, 32), patch=2) == pytest.approx(0.5)
    assert image_shift(config, (16, 128, 128), patch=2) == pytest.approx(1.15)


def test_a_text_is_remarked_on_by_each_tokenizer_that_cuts_it(processes):
    with pytest.warns(PromptTruncatedWarning, match="by its tokenizer, reads 16 tokens"):
        processes["dev"].embed(["a very very long text"])
    processes["dev"].embed(["a text"])  # which both read whole
    with pytest.warns(UnknownTokensWarning, match="'中'"):
        processes["sana"].embed(["a 中 dog"])
    processes["sana"].embed(["A Dog"])  # is lower-cased before it is read


def test_a_text_that_no_tokenizer_reads_is_refused(processes):
    for name in ("sana", "dev", "sd3"):
        with pytest.raises(InputError, match=f"{name} can read nothing of '中文'"):
            processes[name].embed(["中文"])


def edited(folders, name, tmp_path, part, **changes):
    """A copy of a folder, its weights linked, with an edited configuration."""
    copy = tmp_path / name
    for path in (folders / name).rglob("*"):
        target = copy / path.relative_to(folders / name)
        if path.is_dir():
            target.mkdir(parents=True)
        elif path.suffix == ".json":
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
        else:
            target.symlink_to(path)
    edit_json(copy / part, **changes)
    return copy


SCHEDULER, NETWORK = "scheduler/scheduler_config.json", "transformer/config.json"
REFUSED = [
    ("sd3", {}, {"true_cfg_scale": 2.0}, "sd3 takes no true_cfg_scale"),
    ("dev", {}, {"true_cfg_scale": 0.5}, "true_cfg_scale must be a number of at least 1, not 0.5"),
    ("schnell", {}, {"true_cfg_scale": 2.0, "guidance": 3.5}, "has no guidance"),
    ("dev", {}, {"preset": "paper"}, "leave sampler and preset out"),
    ("qwen-image", {}, {"guidance": 0.5}, "not guided below 1, which is no guidance"),
    ("qwen-image", {}, {"steps": 1}, "its scheduler cannot take 1 steps"),
    ("schnell", {}, {"guidance": 3.5}, "has no guidance: leave guidance out"),
    ("sd3", {}, {"sampler": "lms"}, "keeps its own scheduler: lms does not fit it"),
    ("sd3", {}, {"steps": 1001}, "1001 steps are more than the 1000"),
    (
        "sd3",
        {"model_index.json": {"tokenizer_3": ["transformers", "T5Tokenizer"]}},
        {},
        "it has no tokenizer_3",
    ),
    (
        "sd3",
        {
            "model_index.json": {"scheduler": ["diffusers", "FlowMatchHeunDiscreteScheduler"]},
            SCHEDULER: {"_class_name": "FlowMatchHeunDiscreteScheduler"},
        },
        {},
        "its scheduler is FlowMatchHeunDiscreteScheduler",
    ),
    ("sd3", {NETWORK: {"sample_size": None}}, {}, "transformer cannot be loaded"),
    ("sd3", {NETWORK: {"sample_size": 7, "patch_size": 2}}, {}, "proj"),
    ("sana", {NETWORK: {"guidance_embeds": True}}, {}, "has"),
    ("sana", {SCHEDULER: {"use_flow_sigmas": False}}, {}, "use_flow_sigmas: False"),
]


@pytest.mark.parametrize(("name", "changes", "settings", "word"), REFUSED)
def test_bad_inputs_are_one_line(folders, tmp_path, name, changes, settings, word):
    for part, values in changes.items() or [("model_index.json", {})]:
        copy = tmp_path / name
        if copy.exists():
            edit_json(copy / part, **values)
        else:
            edited(folders, name, tmp_path, part, **values)
    assert word in refusal(tmp_path / name, **settings)


@pytest.mark.parametrize("name", ["sana", "z-image", "klein", "qwen-image"])
def test_tokens_that_have_no_embedding_are_refused(folders, tmp_path, name):
    folder = edited(folders, name, tmp_path, "model_index.json")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "tokenizer")
    tokenizer.add_tokens(["xyz"])
    tokenizer.save_pretrained(folder / "tokenizer")
    assert f"{name} does not fit together: its tokenizer knows" in refusal(folder)


def test_one_half_of_t5_is_refused(folders, tmp_path):
    folder = edited(folders, "sd3", tmp_path, "model_index.json")
    tokenizer, _ = t5_text()
    tokenizer.save_pretrained(folder / "tokenizer_3")
    edit_json(folder / "model_index.json", tokenizer_3=["transformers", "T5Tokenizer"])
    assert "T5 is one of two parts, or none" in refusal(folder)


def test_a_tokenizer_without_a_chat_template_is_refused(folders, tmp_path):
    folder = edited(folders, "z-image", tmp_path, "model_index.json")
    template = folder / "tokenizer" / "chat_template.jinja"
    assert template.is_symlink()
    template.unlink()
    assert "z-image has no chat template that can be used" in refusal(folder)


@pytest.mark.parametrize("name", RECOMMENDED)
def test_a_distance_from_the_command_line(folders, name, capsys):
    size = [] if name in ("sd3", "sana") else ["--size", "16x16"]
    process = ["--process", str(folders / name), "--steps", "2", *size]
    main(["distance", "a dog", "a violin", *process, "--json"])
    assert json.loads(capsys.readouterr().out)["value"] > 0


@pytest.mark.parametrize(
    ("estimand", "steps", "zero"),
    [
        ("initial", 3, True),
        ("pointwise:1", 3, True),
        ("cumulative:1", 3, True),
        ("jeffreys", 1, True),
        ("girsanov", 1, True),
        ("jeffreys", 2, False),
        ("final", 2, False),
        ("output", 1, False),
    ],
)
def test_an_estimand_that_is_always_zero_is_refused(processes, estimand, steps, zero):
    """At σ = 1 differences of ε are 0, whatever the prompts."""
    process = processes["sd3"].with_settings(steps=steps)
    spec = Spec(estimand=estimand)
    if zero:
        with pytest.raises(InputError, match="is 0 for every pair in this process"):
            spec.check(process)
        if estimand != "girsanov":
            spec.check(process.with_settings(compare="velocity"))
    else:
        spec.check(process)


@pytest.mark.parametrize(
    ("name", "size", "shape"),
    [
        ("sd3", "24x16", (4, 8, 12)),
        ("dev", "24x16", (4, 8, 12)),
        ("sana", "24x32", (4, 16, 12)),
        ("klein", "24x16", (16, 4, 6)),
        ("qwen-image", "24x16", (4, 8, 12)),
    ],
)
def test_a_size_is_that_of_the_picture(processes, name, size, shape):
    process = processes[name].with_settings(size=size, steps=2, guidance=1.0)
    assert process.latent_shape == shape
    cond = process.embed(["a dog"])
    assert process.predict(torch.randn(1, *shape), torch.tensor([1]), cond).shape == (1, *shape)
    width, height = (int(side) for side in size.split("x"))
    assert process.decode(torch.randn(1, *shape)).shape == (1, 3, height, width)


@pytest.mark.parametrize(
    ("name", "size", "word"),
    [
        ("klein", "20x18", "both sides must be multiples of 4"),
        ("dev", "20x18", "both sides must be multiples of 4, such as 20x"),
        ("sd3", "34x16", "sides of more than 32 pixels"),
    ],
)
def test_a_size_that_a_network_cannot_take_is_refused(processes, name, size, word):
    with pytest.raises(InputError, match=word):
        processes[name].with_settings(size=size)


@pytest.mark.parametrize(("name", "guidance"), [("sd3", 2.0), ("sana", 2.0), ("z-image", 1.0)])
def test_a_negative_prompt_is_what_guidance_subtracts(processes, name, guidance):
    plain = processes[name].with_settings(guidance=guidance, steps=2)
    other = plain.with_settings(negative_prompt="a violin")
    assert process_key(other)["negative_prompt"] == "a violin"
    one, two = (process.unconditional().tensors for process in (plain, other))
    assert any(not torch.equal(one[part], two[part]) for part in one)
    if name == "sana":  # the instruction is for prompts alone
        assert not torch.equal(
            two["encoder_hidden_states"], plain.embed(["a violin"]).tensors["encoder_hidden_states"]
        )
    else:
        torch.testing.assert_close(two, dict(plain.embed(["a violin"]).tensors))


def test_guidance_of_its_own_is_not_guided_again(processes):
    """predict gives the guided prediction, whose tokens are as long as the unguided ones."""
    process, x = processes["qwen-image"], torch.randn(1, 4, 8, 8)
    cond, step = process.embed(["a dog"]), torch.tensor([1])
    assert process.unconditional() is None
    guided = process.predict(x, step, cond)
    told = process.with_settings(guidance=1).predict(x, step, cond)
    other = process.with_settings(negative_prompt="a violin")
    assert process_key(other)["negative_prompt"] == "a violin"
    assert (other.predict(x, step, cond) - guided).norm() > 1e-3 * guided.norm()
    assert (guided - told).norm() > 1e-3 * told.norm()
    lengths = [process._lengths(v) for v in (guided, told)]
    torch.testing.assert_close(*lengths)


def test_a_negative_prompt_that_changes_nothing_is_refused(folders, processes):
    line = refusal(folders / "z-image", negative_prompt="a violin", size=16)
    assert line.startswith("guidance 0 subtracts nothing")
    with pytest.raises(InputError, match="subtracts nothing .distilled guidance."):
        processes["dev"].with_settings(negative_prompt="a violin")
