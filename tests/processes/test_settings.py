import math

import pytest

import conjure.processes
from conjure.core.errors import InputError
from conjure.processes.settings import Choice, ProcessSettings


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("sampler", "heun", "lms, euler, euler-ancestral, ddim, ddpm, dpm-solver++"),
        ("dtype", "int8", "float32, float16, bfloat16, float64"),
        ("steps", 0, "steps must be a whole number of at least 1, not 0"),
        ("steps", 2.5, "steps"),
        ("steps", True, "steps"),
        ("batch_size", 0, "batch_size"),
        ("guidance", -1, "guidance must be a number of at least 0, not -1"),
        ("guidance", math.nan, "guidance"),
        ("guidance", "much", "guidance"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(setting, value, says):
    with pytest.raises(InputError) as caught:
        conjure.processes.load("nowhere", **{setting: value})
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_given_goes_before_what_is_recommended_and_that_before_the_papers():
    given = ProcessSettings(steps=3)
    recommended = ProcessSettings(steps=20, sampler="ddim")
    assert given.over(recommended) == Choice("ddim", 3, 7.5, "float32")
    assert ProcessSettings().over(ProcessSettings()) == Choice("lms", 10, 7.5, "float32")
    assert ProcessSettings(guidance=0).over(ProcessSettings(guidance=5)).guidance == 0
