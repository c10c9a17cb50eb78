"""Families: found by the class in ``model_index.json``; a second one is one file and one line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import diffusers
import label_family
import pytest
import torch
from folder_tools import edit_json, edit_weights, refusal, weights_of
from label_family import FAMILY, LabelProcess, save_label_pipeline
from safetensors.torch import load_file

import conjure
from conjure.core.errors import InputError
from conjure.core.process import GenerativeProcess
from conjure.core.spec import Spec, sign
from conjure.processes import load, registry


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    return save_label_pipeline(tmp_path_factory.mktemp("dit") / "dit")


@pytest.fixture
def registered(monkeypatch):
    """Within it, the family is known."""
    monkeypatch.setattr(registry, "_REGISTERED", {})
    return conjure.register_family(FAMILY)


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Installs a package that brings a family, as pip would: its metadata on the path."""
    monkeypatch.setattr(registry, "_REGISTERED", {})

    def install(value, package="mine"):
        info = tmp_path / package / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\nDiTPipeline = {value}\n")
        monkeypatch.syspath_prepend(tmp_path / package)

    return install


def test_a_second_family_measures_distances(registered, saved):
    process = load(saved)
    assert isinstance(process, GenerativeProcess)
    assert isinstance(process, LabelProcess)
    assert (process.sampler, len(process.schedule), process.guidance) == ("ddim", 5, 4.0)
    far = conjure.distance("a dog", "a violin", process=process, samples=2)
    assert far.value > 0.1
    assert conjure.distance("a dog", "a hound", process=process).value < 1e-8  # one class
    again = conjure.distance("a dog", "a violin", process=load(saved, batch_size=1), samples=2)
    assert again.value == pytest.approx(far.value, rel=1e-5)
    assert process.revision.startswith("sha256-")
    with pytest.raises(InputError, match="has no label 'a cat'"):
        conjure.distance("a dog", "a cat", process=process)


def test_its_settings_are_asked_recommended_or_its_own(registered, saved, tmp_path):
    assert load(saved, guidance=2).guidance == 2
    card = saved / "conjure.json"
    card.write_text(json.dumps({"steps": 3, "name": "dit"}))
    try:
        process = load(saved)
        assert (process.name, len(process.schedule), process.guidance) == ("dit", 3, 4.0)
    finally:
        card.unlink()


def copied(saved, tmp_path):
    folder = tmp_path / "copy"
    for path in saved.rglob("*"):
        if path.is_file():
            target = folder / path.relative_to(saved)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return folder


def test_a_broken_folder_of_it_is_refused_in_one_line(registered, saved, tmp_path):
    folder = copied(saved, tmp_path)
    edit_weights(
        folder,
        "transformer",
        lambda w: {k: v for k, v in w.items() if k != "proj_out_2.weight"},
    )
    assert "its transformer lacks 1 tensor (proj_out_2.weight)" in refusal(folder)
    weights = weights_of(folder, "transformer")
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    assert "allow_pickle=True" in refusal(folder)
    weights.with_suffix(".bin").unlink()
    assert "it has no transformer" in refusal(folder)
    edit_json(folder / "model_index.json", transformer=["diffusers", "UNet2DConditionModel"])
    assert refusal(folder).endswith(
        "conjure reads diffusers's own classes (DiTTransformer2DModel) and runs no code of a"
        " model's: use a DiT"
    )


def test_a_class_of_no_family_is_refused_and_the_known_ones_are_listed(saved, install):
    known = ", ".join(registry.family_names())
    assert "StableDiffusionPipeline" in known
    assert refusal(saved).endswith(f"is a DiTPipeline; conjure reads {known}")
    install("label_family:FAMILY")
    edited = "UnknownPipeline"
    index = json.loads((saved / "model_index.json").read_text())
    try:
        edit_json(saved / "model_index.json", _class_name=edited)
        both = ", ".join(sorted([*known.split(", "), "DiTPipeline"]))
        assert refusal(saved).endswith(f"conjure reads {both}")
        for odd in (None, 7, ["pipeline", "Mine"]):
            edit_json(saved / "model_index.json", _class_name=odd)
            assert f"is a {odd!r}; conjure reads" in refusal(saved)
    finally:
        (saved / "model_index.json").write_text(json.dumps(index))


def test_an_installed_package_brings_a_family(saved, install):
    install("label_family:FAMILY")
    assert isinstance(load(saved), LabelProcess)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("no_such_module:FAMILY", "cannot be loaded: No module named 'no_such_module'"),
        ("label_family:NOTHING", "cannot be loaded: module 'label_family' has no attribute"),
        ("label_family:NO_CLASS", "it should be a Family of that class"),
        ("conjure.processes.stable_diffusion:FAMILY", "it should be a Family of that class"),
    ],
)
def test_a_package_whose_family_is_broken_is_one_line(saved, install, value, says):
    install(value)
    line = refusal(saved)
    assert says in line
    assert value in line


def test_two_families_of_one_class_are_refused_where_they_are_needed(saved, install, pipelines):
    install("label_family:FAMILY")
    install("another:FAMILY", "other")
    assert "two families read it (another:FAMILY and label_family:FAMILY): keep one" in refusal(
        saved
    )
    assert load(pipelines["epsilon"], steps=2).sampler == "lms"


def test_a_class_is_registered_once(registered):
    assert {"DiTPipeline", "StableDiffusionPipeline"} <= {*registry.family_names()}
    with pytest.raises(InputError, match="there is a family for DiTPipeline already"):
        conjure.register_family(FAMILY)


def test_registering_needs_no_import_of_ours():
    """Names are known before diffusers is there."""
    code = (
        "import sys; from conjure.processes.registry import family_names;"
        "print(family_names(), [m for m in ('torch', 'diffusers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.endswith("[]\n")
    assert "StableDiffusionPipeline" in done.stdout


def test_the_signature_names_further_settings(registered, saved):
    plain, told = load(saved), load(saved)
    told.settings = {"negative": "a violin"}
    keys = [sign(process, Spec()).key for process in (plain, told)]
    assert "negative" not in keys[0]
    assert keys[1]["negative"] == "a violin"
    assert keys[0] == {name: value for name, value in keys[1].items() if name != "negative"}


def test_the_pipeline_class_is_diffusers_own(registered):
    assert registered.pipeline is diffusers.DiTPipeline
    assert registered.name == "DiTPipeline"
    assert registered.networks == ("transformer", "vae")


def test_the_family_of_the_documentation_runs(saved, monkeypatch):
    page = Path(__file__).parents[2] / "docs" / "families.md"
    [code] = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
    names = dict(vars(label_family))  # its imports
    names.pop("FAMILY"), names.pop("LabelProcess")
    exec(code, names)
    values = []
    for family in (names["FAMILY"], FAMILY):
        monkeypatch.setattr(registry, "_REGISTERED", {})
        process = load(saved, steps=2) if conjure.register_family(family) else None
        assert type(process) is family.process
        values.append(conjure.distance("a dog", "a violin", process=process).value)
    assert values[0] == values[1]
