"""What the tests of explanations share: the bundled process at two steps, with guidance."""

from __future__ import annotations

import pytest

import conjure


@pytest.fixture(scope="session")
def emoji():
    return conjure.load(steps=2, guidance=3.0, device="cpu")
