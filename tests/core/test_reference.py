"""Algorithm 1 as it is printed, against the fast path."""

import pytest
import torch

from conjure.core.divergence import pair_terms
from conjure.core.gaussian import GaussianProcess
from conjure.core.reference import reference_terms


@pytest.mark.parametrize("sampler", ["euler", "euler-maruyama"])
@pytest.mark.parametrize("guidance", [0.0, 1.0, 7.5])
@pytest.mark.parametrize("steps", [1, 2, 6])
def test_the_fast_path_gives_the_same_terms(sampler, guidance, steps):
    draw = torch.Generator().manual_seed(1)
    named = {
        text: (torch.randn(3, generator=draw), torch.eye(3) * (1 + n))
        for n, text in enumerate(["", "a", "b"])
    }
    process = GaussianProcess(named, sampler=sampler, guidance=guidance, steps=steps)
    found = reference_terms(process, "a", "b", samples=3, seed=4)
    [terms] = pair_terms(process, [("a", "b")], [4, 5, 6])
    torch.testing.assert_close(found[:, 0], terms.forward, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found[:, 1], terms.backward, rtol=1e-9, atol=1e-12)
