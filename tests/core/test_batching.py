"""Rows of the network in batches that fit: what happens when memory runs out."""

import pytest
import torch

from conjure.core.divergence import pair_terms
from conjure.core.errors import InputError, SmallerBatchWarning
from conjure.core.gaussian import GaussianProcess

EYE = torch.eye(3)
NAMED = {text: (EYE[n], (n + 1) * EYE) for n, text in enumerate(["", "a", "b"])}
PAIRS = [("a", "b")]


class Cramped(GaussianProcess):
    """Has memory for ``most`` rows; counts those that it answers."""

    most, rows = 5, 0
    error: RuntimeError = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate …")

    def predict(self, x, step, conditioning):
        if len(x) > self.most:
            raise self.error
        self.rows += len(x)
        return super().predict(x, step, conditioning)


@pytest.mark.parametrize(
    "error",
    [
        Cramped.error,
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory"
        ),
    ],
    ids=["cuda", "cpu"],
)
def test_the_batch_is_halved_until_it_fits_and_nothing_is_lost(error):
    roomy = Cramped(NAMED, guidance=2.0)
    roomy.most = 1000
    cramped = Cramped(NAMED, guidance=2.0, batch_size=16)
    cramped.error = error
    expected = pair_terms(roomy, PAIRS, range(9))
    with pytest.warns(SmallerBatchWarning) as warned:
        found = pair_terms(cramped, PAIRS, range(9))
    torch.testing.assert_close(found[0].forward, expected[0].forward, rtol=1e-12, atol=1e-12)
    assert [str(warning.message) for warning in warned] == [
        "batch_size 16 does not fit the memory of cpu: going on with 4"
    ]
    assert {warning.filename for warning in warned} == {__file__}  # the caller's line, not ours
    assert cramped.batch_size == 4  # and stays so
    assert cramped.rows == roomy.rows
    pair_terms(cramped, PAIRS, range(9))


def test_a_row_that_does_not_fit_is_said_in_one_line():
    process = Cramped(NAMED, batch_size=1)
    process.most = 0
    with pytest.raises(InputError, match="not even one row of gaussian fits the memory of cpu"):
        pair_terms(process, PAIRS, [0])


def test_other_errors_are_nobodys_memory():
    process = Cramped(NAMED, batch_size=16)
    process.error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        pair_terms(process, PAIRS, range(9))
    assert process.batch_size == 16
