"""Every variance-preserving family in float64 and bfloat16."""

import pytest
from small.audioldm2 import save_audioldm2
from small.lcm import save_lcm
from small.pixart import save_pixart
from small.sdxl import save_sdxl

import conjure
from conjure.processes import load

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::conjure.core.errors.SlowDtypeWarning"),
]
SAVE = {"sdxl": save_sdxl, "lcm": save_lcm, "pixart": save_pixart, "audioldm2": save_audioldm2}


@pytest.mark.parametrize("name", SAVE)
def test_a_distance_hardly_depends_on_the_arithmetic(name, tmp_path):
    folder = SAVE[name](tmp_path / name)
    values = {}
    for dtype in ("float32", "float64", "bfloat16"):
        process = load(folder, steps=2, sampler="ddim", dtype=dtype, device="cpu")
        values[dtype] = conjure.distance("a dog", "a cat", process=process).value
        assert process.unconditional() is None or process.unconditional().tensors
    assert values["float64"] == pytest.approx(values["float32"], rel=1e-3)
    assert values["bfloat16"] == pytest.approx(values["float32"], rel=0.2)
