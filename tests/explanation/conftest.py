"""What the tests of explanations share: the bundled process at two steps."""

from __future__ import annotations

import pytest

import conjure


@pytest.fixture(scope="session")
def emoji():
    return conjure.load(steps=2, device="cpu")
