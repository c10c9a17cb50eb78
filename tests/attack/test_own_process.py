"""A process of one's own that breaks its contract: the same number all the same, or one line."""

from __future__ import annotations

import signal
from dataclasses import replace

import pytest
import torch

from conjure import distance, distances
from conjure.core.errors import InputError
from conjure.core.gaussian import GaussianProcess
from conjure.core.reference import reference_terms
from conjure.core.types import Conditioning

DRAW = torch.Generator().manual_seed(0)
NAMED = {
    text: (torch.randn(4, generator=DRAW, dtype=torch.float64), scale * torch.eye(4).double())
    for scale, text in enumerate(["", "a", "b"], start=1)
}


def gaussian(methods: dict[str, object] | None = None, **settings: object) -> GaussianProcess:
    kind = type("Own", (GaussianProcess,), methods or {})
    return kind(NAMED, **{"steps": 4, "guidance": 2.0, **settings})


def exact(**settings: object) -> float:
    return float(reference_terms(gaussian(**settings), "a", "b").sum(1).mean())


def measured(process: GaussianProcess, **spec: object) -> float:
    return distance("a", "b", process=process, **spec).value


class InPlace:
    """A solver that writes x_{j+1} over x_j, and spoils the prediction that it was given."""

    def __init__(self, solver: object) -> None:
        self.solver = solver

    def step(self, x, prediction, step, generators):
        x.copy_(self.solver.step(x, prediction, step, generators))
        prediction.zero_()
        return x


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_a_solver_may_work_in_place(guidance):
    process = gaussian({"solver": lambda self: InPlace(GaussianProcess.solver(self))})
    process.guidance = guidance
    assert measured(process) == pytest.approx(exact(guidance=guidance), rel=1e-12)


def test_a_network_may_answer_in_the_same_memory_again():
    memory = torch.zeros(64, 4, dtype=torch.float64)

    def predict(self, x, step, conditioning):
        memory[: len(x)] = GaussianProcess.predict(self, x, step, conditioning)
        return memory[: len(x)]

    assert measured(gaussian({"predict": predict}, batch_size=2)) == pytest.approx(exact())


@pytest.mark.parametrize("sampler", ["euler", "euler-ancestral"])
def test_the_default_dtype_of_the_caller_changes_nothing(sampler):
    before = measured(gaussian(sampler=sampler))
    torch.set_default_dtype(torch.float64)
    try:
        assert measured(gaussian(sampler=sampler)) == before
    finally:
        torch.set_default_dtype(torch.float32)


def test_an_autocast_around_the_call_changes_nothing():
    class Linear(GaussianProcess):
        def embed(self, prompts):
            found = super().embed(prompts).tensors
            mean = found["mean"].float() @ torch.eye(4)  # which autocast computes in bfloat16
            return Conditioning({**found, "mean": mean.double()})

        def predict(self, x, step, conditioning):
            return (super().predict(x, step, conditioning).float() @ torch.eye(4)).double()

    process = Linear(NAMED, steps=4, guidance=2.0)
    before = measured(process)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert measured(process) == before


def of(method: str):
    return getattr(GaussianProcess, method)


METHODS = {
    "embed: more rows": ("embed", lambda s, p: of("embed")(s, [*p, *p]), "embed() must return"),
    "embed: first ε_∅": ("embed", lambda s, p: of("embed")(s, ["", *p]), "embed() must return"),
    "embed: one row": ("embed", lambda s, p: of("embed")(s, p[:1]), "embed() must return"),
    "embed: None": ("embed", lambda s, p: None, "embed() must return"),
    "embed: nothing": ("embed", lambda s, p: Conditioning({}), "embed() must return"),
    "ε_∅: None": ("unconditional", lambda s: None, "guidance is 2"),
    "ε_∅: two rows": ("unconditional", lambda s: s.embed(["", "a"]), "1 row here, not 2 rows"),
    "ε_∅: other names": (
        "unconditional",
        lambda s: Conditioning({"x": torch.zeros(1, 4)}),
        "the tensors that embed() returns",
    ),
    "predict: None": ("predict", lambda s, x, j, c: None, "predicted None"),
    "predict: tuple": ("predict", lambda s, x, j, c: (x,), "predicted (tensor"),
    "predict: whole numbers": ("predict", lambda s, x, j, c: x.long(), "predicted torch.int64"),
    "predict: complex": ("predict", lambda s, x, j, c: x * 1j, "predicted torch.complex128"),
}


@pytest.mark.parametrize("case", METHODS)
def test_a_method_that_returns_something_else_is_refused(case):
    name, method, line = METHODS[case]
    refused(gaussian({name: method}), line)


def refused(process: GaussianProcess, line: str, **spec: object) -> None:
    """In one line, at once: what runs for ever is ended after a while."""
    signal.alarm(60)
    try:
        with pytest.raises(InputError) as caught:
            measured(process, **spec)
    finally:
        signal.alarm(0)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


ATTRIBUTES = {
    "batch_size": [0, -1, 1.5, None, "8", True],
    "device": ["cpu", None],
    "latent_dtype": [torch.float16, torch.int64, "float32", None],
    "latent_shape": [(), (0,), (-1,), (4.0,), 4, None],
    "guidance": [float("nan"), float("inf"), "2", None],
    "guidance_mode": ["cfg", None],
    "revision": [None, 5],
    "schedule": [None, [1, 2]],
    "settings": [[1], {"steps": 99}, {"x": float("nan")}, {"x": torch.zeros(2)}],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in ATTRIBUTES.items() for v in vs])
def test_an_attribute_that_makes_no_sense_is_refused(name, value):
    process = gaussian()
    setattr(process, name, value)
    refused(process, name.removesuffix("s") if name == "settings" else name)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"timesteps": ()}, "no steps"),
        ({"sigmas": (2.0, 1.0)}, "4 timesteps and 2 sigmas"),
        ({"sigmas": (0.0, 1.0, 2.0, 3.0, 4.0)}, "must fall"),
        ({"sigmas": (3.0, 2.0, 1.0, 0.5, -1.0)}, "must fall"),
        ({"sigmas": (float("nan"), 2.0, 1.0, 0.5, 0.0)}, "must fall"),
        ({"initial_scale": float("nan")}, "initial_scale"),
        ({"transitions": ()}, "0 transitions"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(fields, line):
    process = gaussian()
    process.schedule = replace(process.schedule, **fields)
    refused(process, line, estimand="girsanov")


@pytest.mark.parametrize("shape", [(1, 4), (8,), (2, 1)])
def test_a_solver_that_returns_other_rows_is_refused(shape):
    class Other:
        def step(self, x, prediction, step, generators):
            return torch.zeros(shape, dtype=x.dtype)

    refused(gaussian({"solver": lambda self: Other()}), "its solver returned")


def test_a_mode_without_guidance_takes_no_unconditional():
    for mode in ("none", "distilled"):
        refused(gaussian({"guidance_mode": mode}), "unconditional() must return None")


def test_nothing_is_refused_of_what_is_right():
    found = distances([("a", "b"), ("b", "a")], process=gaussian(batch_size=3))
    assert [one.value for one in found] == pytest.approx([exact(), exact()])
