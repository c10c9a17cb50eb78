"""LoRA against the same weights added by hand, and every way in which one does not fit."""

import importlib.util
import re
import warnings

import label_family
import pytest
import torch
from folder_tools import refusal
from lora_tools import KEYS, add_by_hand, matrices, save_lora
from safetensors.torch import load_file, save_file

import conjure
from conjure.cli.main import main
from conjure.core.errors import UnchangedWeightsWarning
from conjure.core.spec import Spec, sign
from conjure.processes import load, registry

SETTINGS = {"steps": 2, "sampler": "ddim"}


def value(process):
    return conjure.distance("a dog", "a violin", process=process, samples=1).value


def layer(process, part="unet"):
    module = getattr(process.pipeline, part).get_submodule(KEYS[part])
    return module.weight.detach().clone()


def key(process):
    return sign(process, Spec()).key


@pytest.fixture(scope="module")
def plain(pipelines):
    return load(pipelines["epsilon"], **SETTINGS)


@pytest.fixture(scope="module")
def lora(pipelines, tmp_path_factory):
    """(file, its matrices)"""
    given = matrices(pipelines["epsilon"])
    return save_lora(tmp_path_factory.mktemp("lora") / "style.safetensors", given), given


@pytest.mark.parametrize(
    ("style", "scale", "factor"),
    [("diffusers", 1.0, 1.0), ("diffusers", -0.5, -0.5), ("peft", 0.5, 0.5), ("kohya", 0.5, 0.25)],
)
def test_it_is_the_weights_added_by_hand(folder, tmp_path, plain, style, scale, factor):
    """kohya's files have an α, here half the rank, by which the product is multiplied."""
    given = matrices(folder)
    file = save_lora(tmp_path / "style.safetensors", given, style)
    added = load(folder, lora=[f"{file}:{scale}"], **SETTINGS)
    add_by_hand(folder, given, factor)
    by_hand = load(folder, **SETTINGS)
    for part in KEYS:
        torch.testing.assert_close(layer(added, part), layer(by_hand, part))
        assert not torch.allclose(layer(added, part), layer(plain, part), atol=1e-3)
    assert value(added) == pytest.approx(value(by_hand), rel=1e-4)
    assert value(added) != pytest.approx(value(plain), rel=0.01)


def test_the_text_encoder_alone(folder, tmp_path, plain):
    given = {"text_encoder": matrices(folder)["text_encoder"]}
    added = load(folder, lora=save_lora(tmp_path / "a.safetensors", given), **SETTINGS)
    torch.testing.assert_close(layer(added), layer(plain))
    add_by_hand(folder, given, 1.0)
    assert value(added) == pytest.approx(value(load(folder, **SETTINGS)), rel=1e-4)
    assert value(added) != pytest.approx(value(plain), rel=1e-3)


def test_scale_0_is_no_lora(pipelines, lora, plain):
    none = load(pipelines["epsilon"], lora=f"{lora[0]}:0", **SETTINGS)
    assert key(none) == key(plain)
    assert torch.equal(layer(none), layer(plain))
    assert value(none) == value(plain)


def test_the_weights_are_linear_in_the_scale(pipelines, lora, plain):
    scaled = {
        scale: layer(load(pipelines["epsilon"], lora=f"{lora[0]}:{scale}", **SETTINGS))
        for scale in (0.5, 2)
    }
    torch.testing.assert_close(
        scaled[2] - layer(plain), 4 * (scaled[0.5] - layer(plain)), atol=1e-5, rtol=1e-4
    )


def test_the_key_has_content_and_scale_in_any_order(pipelines, lora, tmp_path, plain):
    folder, one = pipelines["epsilon"], lora[0]
    other = save_lora(tmp_path / "b" / "other.safetensors", matrices(folder, seed=1))
    copied = tmp_path / "renamed.safetensors"
    copied.write_bytes(one.read_bytes())
    both = load(folder, lora=[f"{one}:0.5", str(other)], **SETTINGS)
    turned = load(folder, lora=[str(other), f"{copied}:0.5"], **SETTINGS)
    assert key(both) == key(turned)
    torch.testing.assert_close(layer(both), layer(turned))
    assert re.fullmatch(
        r"sha256-\w{12}(\+(0\.5|1)\*lora-[0-9a-f]{12}){2}", both.revision
    )  # from any folder and under any name
    assert key(both) != key(load(folder, lora=[str(one), str(other)], **SETTINGS))
    twice = load(folder, lora=[f"{one}:0.75", f"{copied}:0.25"], **SETTINGS)
    once = load(folder, lora=str(one), **SETTINGS)
    assert key(twice) == key(once)
    torch.testing.assert_close(layer(twice), layer(once))
    assert "lora" not in plain.revision


def test_a_folder_is_a_lora_and_settings_keep_it(pipelines, lora, tmp_path):
    usual = tmp_path / "pytorch_lora_weights.safetensors"
    usual.write_bytes(lora[0].read_bytes())
    (tmp_path / "more.safetensors").write_bytes(b"")
    process = load(pipelines["epsilon"], lora=tmp_path, **SETTINGS)
    assert torch.equal(layer(process), layer(load(pipelines["epsilon"], lora=lora[0], **SETTINGS)))
    other = process.with_settings(steps=3)
    other.refresh()
    assert other.revision == process.revision


@pytest.mark.filterwarnings("ignore::conjure.core.errors.SlowDtypeWarning")
def test_half_precision_keeps_what_rounding_would_lose(folder, tmp_path):
    """ΔW of 2⁻¹² W is lost in a bfloat16 sum, and stays beside it."""
    given = matrices(folder)
    small = {part: (a, b * 2**-10) for part, (a, b) in given.items()}
    file = save_lora(tmp_path / "small.safetensors", small)
    process = load(folder, lora=file, dtype="bfloat16", **SETTINGS)
    unet = process.pipeline.unet.get_submodule(KEYS["unet"])
    a, b = (matrix.bfloat16().float() for matrix in small["unet"])
    delta = unet.get_delta_weight("lora0").float()
    torch.testing.assert_close(delta, b @ a, rtol=0.02, atol=1e-6)
    assert value(process) > 0
    assert "+1*lora-" in process.revision
    assert "edited" not in process.revision


# ------------------------------------------------------------------ what does not fit


def edited(lora, path, edit):
    save_file(edit(load_file(lora)), path)
    return path


def test_tensors_without_a_place_are_counted(pipelines, lora, tmp_path):
    """diffusers logs them at most, and goes on."""
    file = edited(
        lora[0],
        tmp_path / "x.safetensors",
        lambda held: (
            held | {k.replace("attn2", "attn7"): v + 1 for k, v in held.items() if "unet" in k}
        ),
    )
    line = refusal(pipelines["epsilon"], lora=file)
    assert "does not fit" in line
    assert "2 tensors of 6 have no place there (unet.down_blocks.1" in line


def test_a_second_text_encoder_is_of_another_family(pipelines, lora, tmp_path):
    file = edited(
        lora[0],
        tmp_path / "x.safetensors",
        lambda held: (
            held | {k.replace("encoder.", "encoder_2.", 1): v + 1 for k, v in held.items()}
        ),
    )
    assert "have no place there (" in refusal(pipelines["epsilon"], lora=file)


def test_another_architecture_is_one_line(pipelines, lora, tmp_path):
    file = edited(
        lora[0],
        tmp_path / "wide.safetensors",
        lambda held: {k: torch.cat([v, v], dim=int(v.shape[0] == 2)) for k, v in held.items()},
    )
    line = refusal(pipelines["epsilon"], lora=file)
    assert "cannot be added to epsilon, which may be another architecture: " in line
    assert "mismatch" in line


def test_half_a_pair_is_incomplete(pipelines, lora, tmp_path):
    file = edited(
        lora[0],
        tmp_path / "half.safetensors",
        lambda held: {k: v for k, v in held.items() if "up" in k},
    )
    assert re.search("is incomplete|cannot be added|fit", refusal(pipelines["epsilon"], lora=file))


def test_nothing_but_zeros_warns(pipelines, lora, tmp_path, plain):
    file = edited(
        lora[0],
        tmp_path / "zero.safetensors",
        lambda held: {k: v * ("up" not in k) for k, v in held.items()},
    )
    with pytest.warns(UnchangedWeightsWarning, match=r"zero\.safetensors changes no weight of eps"):
        process = load(pipelines["epsilon"], lora=file, **SETTINGS)
    assert value(process) == value(plain)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(pipelines["epsilon"], lora=lora[0], **SETTINGS)


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda place: None, "there is no LoRA"),
        (lambda place: place.write_bytes(b"nonsense"), "cannot be read: "),
        (lambda place: save_file({"a.alpha": torch.tensor(1.0)}, place), "holds no matrices"),
        (lambda place: save_file({"a.dora_scale": torch.ones(2, 1)}, place), "is a DoRA"),
        (lambda place: save_file({"a.weight": torch.ones(2, 1)}, place), "cannot be added to"),
    ],
)
def test_what_is_no_lora_is_one_line(pipelines, tmp_path, write, says):
    place = tmp_path / "file.safetensors"
    write(place)
    assert says in refusal(pipelines["epsilon"], lora=place)


def test_files_that_are_not_read(pipelines, lora, tmp_path):
    folder = pipelines["epsilon"]
    assert "has no safetensors file" in refusal(folder, lora=tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(lora[0].read_bytes())
    assert refusal(folder, lora=tmp_path).endswith(f"write which, such as {tmp_path}/a.safetensors")
    pickled = tmp_path / "lora.bin"
    pickled.write_bytes(b"")
    assert "pickled ones can run any code" in refusal(folder, lora=pickled)
    for wrong in (3, [3], [""], None):
        assert "lora" in refusal(folder, lora=wrong)
    assert "its scale must be a finite number" in refusal(folder, lora="style:nan")


def test_what_takes_no_lora_says_so(tmp_path, lora, monkeypatch):
    monkeypatch.setattr(registry, "_REGISTERED", {})
    registry.register_family(label_family.FAMILY)
    folder = label_family.save_label_pipeline(tmp_path / "dit")
    assert "takes no LoRA: diffusers adds none to a DiTPipeline" in refusal(folder, lora=lora[0])


def test_without_peft_it_says_what_to_install(pipelines, lora, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    line = refusal(pipelines["epsilon"], lora=lora[0])
    assert line == "a LoRA needs the package peft: pip install 'conjure[lora]'"


# ------------------------------------------------------------------ the hub's cache


def test_a_hub_id_is_found_in_the_cache(pipelines, lora, tmp_path, monkeypatch):
    from huggingface_hub import constants

    from conjure.processes import hub

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "reachable", lambda settings: False)
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "models--someone--style"
    snapshot = repo / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    (snapshot / "style.safetensors").write_bytes(lora[0].read_bytes())
    expected = load(pipelines["epsilon"], lora=f"{lora[0]}:0.5", **SETTINGS)
    for name in ("someone/style", "someone/style/style.safetensors"):
        found = load(pipelines["epsilon"], lora=f"{name}:0.5", **SETTINGS)
        assert key(found) == key(expected)
    line = refusal(pipelines["epsilon"], lora="someone/gone")
    assert "LoRA: someone/gone is neither a folder here nor cached whole" in line


# ------------------------------------------------------------------ the command line


def test_the_flag_is_repeatable(pipelines, lora, tmp_path, capsys):
    other = save_lora(tmp_path / "b.safetensors", matrices(pipelines["epsilon"], seed=1))
    flags = ["--process", str(pipelines["epsilon"]), "--steps", "2", "--sampler", "ddim"]
    loras = ["--lora", f"{lora[0]}:0.5", "--lora", str(other)]
    assert main(["distance", "a dog", "a violin", *flags, *loras]) == 0
    assert len(re.findall(r"\+(?:0\.5|1)\*lora-\w{12}", capsys.readouterr().out)) == 2
    assert main(["distance", "a", "b", *flags, "--lora", "./gone.safetensors"]) == 2
    assert "there is no LoRA ./gone.safetensors" in capsys.readouterr().err
