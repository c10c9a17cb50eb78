import dataclasses
import inspect
import math

import pytest
import torch

import conjure.processes
from conjure.core.errors import InputError
from conjure.core.text import brief
from conjure.processes.settings import Choice, ProcessSettings


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("sampler", "heun", "lms, euler, euler-ancestral, ddim, ddpm, dpm-solver++"),
        ("dtype", "int8", "float32, float16, bfloat16, float64, auto"),
        ("steps", 0, "steps must be a whole number of at least 1, not 0"),
        ("steps", 2.5, "steps"),
        ("steps", True, "steps"),
        ("batch_size", 0, "batch_size"),
        ("guidance", -1, "guidance must be a number of at least 0, not -1"),
        ("guidance", math.nan, "guidance"),
        ("guidance", "much", "guidance"),
        ("guidance", 10**400, "guidance must be a number of at least 0, not 1000"),
        ("guidance", 10**5000, "guidance must be a number of at least 0, not an int"),
        ("guidance", True, "guidance"),
        ("guidance", "7.5", "guidance"),
        ("guidance", math.inf, "guidance"),
        ("guidance", [7.5], "guidance"),
        ("guidance", 1j, "guidance"),
        ("steps", -(10**5000), "steps must be a whole number of at least 1, not an int"),
        ("steps", "3", "steps"),
        ("steps", math.nan, "steps"),
        ("sampler", ["lms"], "unknown sampler ['lms']"),
        ("sampler", {}, "unknown sampler {}"),
        ("dtype", ["float32"], "unknown dtype ['float32']"),
        ("dtype", float, "unknown dtype <class 'float'>"),
        ("device", 0, "device must be a name such as cpu or cuda:1, not 0"),
        ("device", ["cpu"], "device"),
        ("device", "\ud800", "device"),
        ("device", "cpu\n", "device"),
        ("variant", 5, "variant must be part of a file's name, not 5"),
        ("variant", "", "variant"),
        ("variant", "../x", "variant"),
        ("variant", "\ud800", "variant"),
        ("variant", "v" * 5000, "variant"),
        ("revision", 5, "revision must be a branch, tag or commit, not 5"),
        ("revision", "", "revision"),
        ("revision", "\ud800", "revision"),
        ("revision", "a\0b", "revision"),
        ("revision", "two words", "revision"),
        ("compile", 1, "compile must be True or False, not 1"),
        ("allow_pickle", "no", "allow_pickle must be True or False, not 'no'"),
    ],
    ids=brief,  # or pytest would write out thousands of digits
)
def test_a_setting_that_cannot_be_meant_is_refused(setting, value, says):
    with pytest.raises(InputError) as caught:
        conjure.processes.load("nowhere", **{setting: value})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_what_is_given_goes_before_what_is_recommended_and_that_before_the_papers():
    given = ProcessSettings(steps=3)
    recommended = ProcessSettings(steps=20, sampler="ddim")
    assert given.over(recommended) == Choice("ddim", 3, 7.5, "float32")
    assert ProcessSettings().over(ProcessSettings()) == Choice("lms", 10, 7.5, "float32")
    assert ProcessSettings(guidance=0).over(ProcessSettings(guidance=5)).guidance == 0


def test_load_shows_its_settings_with_their_defaults():
    shown = inspect.signature(conjure.processes.load).parameters
    named = {name: p.default for name, p in shown.items() if name != "source"}
    assert named == {field.name: field.default for field in dataclasses.fields(ProcessSettings)}
    assert all(shown[name].kind is inspect.Parameter.KEYWORD_ONLY for name in named)
    for name in named:
        assert f"\n    {name}:" in conjure.processes.load.__doc__


def test_a_device_of_torch_will_do():
    assert ProcessSettings(device=torch.device("cpu")).device == torch.device("cpu")
