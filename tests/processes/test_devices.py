"""``dtype="auto"``, and the warning of a dtype that the processor has no instructions for."""

import warnings

import pytest
import torch
from small_models import encoder, language_model

import conjure
from conjure import baselines
from conjure.core.errors import SlowDtypeWarning
from conjure.core.spec import sign_process
from conjure.processes import devices, load
from conjure.processes.devices import native_half, settle_dtype

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")
OLD, NEW = frozenset({"avx2"}), frozenset({"avx2", "avx512_bf16"})


@pytest.fixture
def processor(monkeypatch):
    """Sets what instructions the processor is said to have."""
    return lambda flags: monkeypatch.setattr(devices, "cpu_flags", lambda: flags)


@pytest.mark.parametrize(
    ("flags", "becomes"),
    [
        (OLD, "float32"),
        (NEW, "bfloat16"),
        (frozenset({"amx_bf16"}), "bfloat16"),
        (frozenset({"bf16", "asimdhp"}), "bfloat16"),  # ARM
        (frozenset({"asimdhp", "avx512_fp16"}), "float32"),
        (None, "float32"),  # nobody says
    ],
)
def test_auto_on_a_cpu(processor, pipelines, flags, becomes):
    processor(flags)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        process = load(pipelines["epsilon"], steps=2, device="cpu", dtype="auto")
    assert process.dtype == becomes
    assert process.pipeline.unet.dtype == getattr(torch, becomes)
    assert process.latent_dtype == torch.float32
    assert sign_process(process).key["dtype"] == becomes
    same = load(pipelines["epsilon"], steps=2, device="cpu", dtype=becomes)
    assert sign_process(process) == sign_process(same)


@pytest.mark.parametrize(("native", "becomes"), [(True, "bfloat16"), (False, "float16")])
def test_auto_on_a_gpu(monkeypatch, native, becomes):
    """No GPU is needed: torch is asked, and the two answers stand for two kinds of GPU."""

    def supported(including_emulation=True):
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr(torch.cuda, "device", lambda device: warnings.catch_warnings())
    assert settle_dtype("auto", CUDA) == becomes
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert settle_dtype("bfloat16", CUDA) == "bfloat16"
        assert settle_dtype("float16", CUDA) == "float16"
    assert [str(w.message) for w in told] == [
        'the cuda has no instructions for bfloat16, which is slow there: use dtype "auto"'
    ] * (not native)


def test_auto_elsewhere_is_float32_and_nothing_is_said():
    assert native_half(torch.device("mps")) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert settle_dtype("auto", torch.device("mps")) == "float32"
        assert settle_dtype("float16", torch.device("mps")) == "float16"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_slow_dtype_is_told_once_in_one_line_at_the_callers(processor, pipelines, dtype):
    processor(OLD)
    with pytest.warns(SlowDtypeWarning) as told:
        process = conjure.load(pipelines["epsilon"], steps=2, device="cpu", dtype=dtype)
    [warning] = [w for w in told if w.category is SlowDtypeWarning]
    assert warning.filename == __file__
    line = str(warning.message)
    assert "\n" not in line
    assert f"no instructions for {dtype}" in line
    assert "about ten times slower than float32" in line
    assert 'use dtype "auto"' in line
    assert process.dtype == dtype  # it was asked for


@pytest.mark.parametrize(
    ("flags", "dtype"),
    [
        (OLD, "float32"),
        (OLD, "float64"),
        (OLD, None),
        (NEW, "bfloat16"),
        (frozenset({"amx_fp16"}), "float16"),
        (None, "bfloat16"),
    ],
)
def test_other_dtypes_are_not_told_of(processor, pipelines, flags, dtype):
    processor(flags)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SlowDtypeWarning)
        assert load(pipelines["epsilon"], steps=2, device="cpu", dtype=dtype).dtype == (
            dtype or "float32"
        )


def test_this_machines_flags_are_read_where_linux_tells_them(tmp_path, monkeypatch):
    flags = devices.cpu_flags()
    assert flags is None or len(flags) > 5
    for name, text, expected in [
        ("x86", "processor\t: 0\nflags\t\t: fpu avx2 avx512_bf16\nflags : other\n", NEW | {"fpu"}),
        ("arm", "Features\t: fp asimd bf16\n", {"fp", "asimd", "bf16"}),
        ("odd", "nothing\n", None),
    ]:
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(devices, "_CPUINFO", tmp_path / name)
        assert devices.cpu_flags() == expected
    monkeypatch.setattr(devices, "_CPUINFO", tmp_path / "gone")
    assert devices.cpu_flags() is None


@pytest.mark.parametrize(("flags", "becomes"), [(OLD, "float32"), (NEW, "bfloat16")])
@pytest.mark.parametrize("row", ["encoder", "lm"])
def test_auto_means_the_same_to_a_baseline(processor, tmp_path, flags, becomes, row):
    processor(flags)
    folder = (
        encoder("bert", tmp_path / "m")
        if row == "encoder"
        else language_model("gpt2", tmp_path / "m")
    )
    baseline = baselines.load(f"{row}={folder}", device="cpu", dtype="auto")
    assert f"dtype:{becomes}|" in str(baseline.signature)
