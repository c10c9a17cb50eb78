"""The memory of weights, from their headers alone, against what the loaded networks take."""

import importlib.util
import warnings

import pytest
import torch
from folder_tools import refusal, shard, weights_of
from original_layout import save_original
from safetensors.torch import load_file, save_file

import conjure
from conjure.cli.main import main
from conjure.core.errors import LowMemoryWarning
from conjure.core.memory import free_bytes
from conjure.processes import load, weight_memory
from conjure.processes.settings import ProcessSettings
from conjure.processes.stable_diffusion import FAMILY
from conjure.processes.swapped import Elsewhere
from conjure.processes.weight_memory import check_memory, file_bytes, weight_bytes

CUDA = torch.device("cuda")


def taken(process, part):
    return sum(t.nbytes for t in getattr(process.pipeline, part).state_dict().values())


@pytest.mark.filterwarnings("ignore::conjure.core.errors.SlowDtypeWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_it_is_what_the_networks_take(folder, dtype):
    shard(folder, "unet", "diffusion_pytorch_model")
    sizes = weight_bytes(folder, FAMILY, ProcessSettings(), Elsewhere(), dtype)
    process = load(folder, steps=1, dtype=dtype)
    assert sizes == {part: taken(process, part) for part in ("unet", "vae", "text_encoder")}


def test_a_single_file_counts_as_one(pipelines, tmp_path):
    folder = pipelines["epsilon"]
    file = save_original(folder, tmp_path / "model.safetensors")
    whole = weight_bytes(folder, FAMILY, ProcessSettings(), Elsewhere(), "float32")
    one = weight_bytes(folder, FAMILY, ProcessSettings(), Elsewhere(file=file), "float32")
    assert one == {"model.safetensors": sum(whole.values())}


def test_whole_numbers_keep_their_width(tmp_path):
    file = tmp_path / "x.safetensors"
    tensors = {
        "a": torch.zeros(3, 5),
        "b": torch.zeros(7, dtype=torch.int64),
        "c": torch.ones(2).bool(),
    }
    save_file(tensors, file)
    assert file_bytes(file, "float16") == 3 * 5 * 2 + 7 * 8 + 2
    file.write_bytes(b"\x08\0\0\0\0\0\0\0nonsense")
    assert file_bytes(file, "float16") == 0


def test_too_little_memory_is_one_line(pipelines, monkeypatch):
    monkeypatch.setattr(weight_memory, "free_bytes", lambda device: 100_000)
    with pytest.warns(LowMemoryWarning) as caught:
        load(pipelines["epsilon"], steps=1)
    [line] = [str(w.message) for w in caught]
    assert "epsilon needs about 0.00115 GB for its weights in float32" in line
    assert "(in GB: unet 0.00101, text_encoder " in line
    assert line.endswith("cpu has 0.0001 GB free: try dtype bfloat16 or float16")
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(pipelines["epsilon"], steps=1)


@pytest.mark.parametrize(
    ("free", "offload", "says"),
    [
        ({"cpu": 20, "cuda": 20}, False, None),
        ({"cpu": 11, "cuda": 20}, False, r"cpu has 11 GB free: try dtype bfloat16 or float16$"),
        ({"cpu": 20, "cuda": 11}, False, r"12 GB .*cuda has 11 GB free: try .* or offload$"),
        ({"cpu": 20, "cuda": 11}, True, None),
        ({"cpu": 20, "cuda": 6}, True, r"needs about 7 GB .*cuda has 6 GB free"),
        ({"cpu": 20, "cuda": None}, False, None),
    ],
)
def test_a_gpu_needs_all_parts_or_the_largest(monkeypatch, free, offload, says):
    sizes = {"unet": 7 * 10**9, "text_encoder": 5 * 10**9}

    def free_of(device):
        found = free[device.type]
        return None if found is None else found * 10**9

    monkeypatch.setattr(weight_memory, "free_bytes", free_of)
    if says is None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_memory("x", sizes, CUDA, "float32", offload)
    else:
        with pytest.warns(LowMemoryWarning, match=says):
            check_memory("x", sizes, CUDA, "float32", offload)


def test_this_machine_says_what_is_free():
    free = free_bytes(torch.device("cpu"))
    assert 10**7 < free < 10**14
    assert free_bytes(torch.device("meta")) is None


def test_offload_is_for_a_gpu(pipelines, capsys):
    assert "offload goes with a GPU" in refusal(pipelines["epsilon"], offload=True)
    assert "offload must be True or False" in refusal(pipelines["epsilon"], offload="yes")
    assert "leave one of them out" in refusal(pipelines["epsilon"], offload=True, compile=True)
    assert main(["distance", "a", "b", "--offload", "--device", "cpu"]) == 2
    assert "offload goes with a GPU" in capsys.readouterr().err


def test_offloading_needs_accelerate(monkeypatch):
    from conjure.core.errors import InputError
    from conjure.processes.devices import check_offload

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'conjure\[accelerate\]'"):
        check_offload(ProcessSettings(offload=True), CUDA)


def test_the_hooks_of_offloading_change_no_number(pipelines):
    """accelerate's own hooks, which move from the CPU to the CPU here."""
    plain = load(pipelines["epsilon"], steps=2, sampler="ddim")
    process = load(pipelines["epsilon"], steps=2, sampler="ddim")
    process.pipeline.enable_model_cpu_offload(device=torch.device("cpu"))
    assert hasattr(process.pipeline.unet, "_hf_hook")
    values = [conjure.distance("a dog", "a violin", process=p) for p in (plain, process)]
    assert values[0].value == values[1].value
    assert values[0].signature == values[1].signature
    pictures = [conjure.pictures(["a dog"], process=p) for p in (plain, process)]
    assert torch.equal(*pictures)


def test_the_sizes_are_those_of_the_files(pipelines):
    file = weights_of(pipelines["epsilon"], "unet")
    assert file_bytes(file, "float32") == sum(t.nbytes for t in load_file(file).values())
