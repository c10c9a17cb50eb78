"""``compile``: the same distances, from batches of one shape, whatever memory there is."""

import pytest
import torch

from conjure import distances
from conjure.core.errors import InputError, SmallerBatchWarning
from conjure.processes import load

PAIRS = [("a dog", "a cat"), ("a dog", "a violin"), ("a dog", "a dog")]


@pytest.fixture
def compiled(monkeypatch):
    """What the compiled network is given: the rows of each argument, call by call.

    ``most`` rows fit its memory; ``backend`` compiles it, or None leaves it as it is, which is
    enough to see what it is given.
    """

    class Compiled:
        most, backend = 1000, None

        def __init__(self):
            self.calls = []
            self.compile = torch.compile

        def __call__(self, network, *, dynamic):
            assert dynamic is False
            if self.backend:
                network = self.compile(network, dynamic=False, backend=self.backend)

            def run(x, timestep, *, encoder_hidden_states, **rest):
                if len(x) > self.most:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate …")
                self.calls.append((len(x), len(timestep), len(encoder_hidden_states)))
                return network(x, timestep, encoder_hidden_states=encoder_hidden_states, **rest)

            return run

    stand_in = Compiled()
    monkeypatch.setattr(torch, "compile", stand_in)
    return stand_in


def values(process) -> list[float]:
    return [found.value for found in distances(PAIRS, process=process, samples=2)]


def test_compiled_and_eager_agree(pipelines, compiled):
    """Traced and lowered as for any backend; inductor's own, which takes minutes, left out."""
    compiled.backend = "aot_eager"
    settings = {"steps": 2, "device": "cpu", "batch_size": 8}
    found = values(load(pipelines["epsilon"], compile=True, **settings))
    assert compiled.calls
    assert found == pytest.approx(values(load(pipelines["epsilon"], **settings)), rel=1e-5)


def test_every_batch_has_one_shape(pipelines, compiled):
    process = load(pipelines["epsilon"], steps=3, device="cpu", batch_size=8, compile=True)
    values(process)
    assert {*compiled.calls} == {(8, 8, 8)}


def test_where_memory_runs_out_batches_are_padded_to_what_fits(pipelines, compiled):
    """Of 32 rows few are used here; what does not fit is the 32, not those few."""
    settings = {"steps": 3, "device": "cpu"}
    expected = values(load(pipelines["epsilon"], **settings))
    compiled.most = 8
    process = load(pipelines["epsilon"], batch_size=32, compile=True, **settings)
    with pytest.warns(SmallerBatchWarning, match="batch_size 32 does not fit .* going on with 8"):
        found = values(process)
    assert {*compiled.calls} == {(8, 8, 8)}
    assert process.batch_size == 8
    assert found == pytest.approx(expected, rel=1e-5)


def test_only_where_a_batch_of_one_does_not_fit_nothing_does(pipelines, compiled):
    process = load(pipelines["epsilon"], steps=2, device="cpu", batch_size=4, compile=True)
    compiled.most = 0
    with pytest.raises(InputError, match="not even one row of epsilon fits"):
        values(process)
    compiled.most, process.batch_size = 1, 4
    with pytest.warns(SmallerBatchWarning, match="going on with 1"):
        values(process)
    assert {*compiled.calls} == {(1, 1, 1)}
