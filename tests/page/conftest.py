"""What the tests of pages share: one browser, and explanations of a short run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from page_texts import HOSTILE, RTL

import conjure
from conjure.explanation.measuring import explain
from conjure.explanation.record import Explanation, Words
from conjure.report.page import page

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="session")
def process():
    return conjure.load(steps=2, device="cpu")


@pytest.fixture(scope="session")
def found(process) -> Explanation:
    """A real explanation, with made-up effects of words: those take further pairs."""
    found = explain("a red apple", "a green apple", process=process, samples=3)
    draw = np.random.default_rng(0)
    words = Words(
        (("a", "red", "apple"), ("a", "green", "apple")),
        "something",
        (draw.normal(-9, 5, (3, 3)), draw.normal(3, 5, (3, 3))),
        (draw.normal(-9, 5, (3, 3)), np.full((3, 3), np.nan)),
        draw.uniform(1, 300, (3, 3, 3)),
        99,
        ("“green” cannot be replaced.",),
    )
    return replace(found, words=words)


@pytest.fixture(scope="session")
def hostile(found: Explanation) -> Explanation:
    """The same numbers under texts that try to be markup, and under one that never ends."""
    words = replace(found.words, words=((HOSTILE, "x" * 300, RTL), ("a", HOSTILE, RTL)))
    return replace(
        found,
        distance=replace(found.distance, text1=HOSTILE, text2=RTL + "y" * 500),
        words=words,
        command=f"conjure explain '{HOSTILE}'",
        notes=(HOSTILE, RTL),
    )


@pytest.fixture(scope="session")
def html(found: Explanation) -> str:
    return page(found)


@pytest.fixture(scope="session")
def hostile_html(hostile: Explanation) -> str:
    return page(hostile)


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("pages are tested in Chromium, and there is none: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def opened(browser, tmp_path_factory):
    """Open HTML as a file: a page, whose messages and requests are in ``page.said``."""

    @contextmanager
    def open_page(html: str, width: int = 1280, scheme: str = "light", script: bool = False):
        path = tmp_path_factory.mktemp("page") / "page.html"
        path.write_text(html, encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme=scheme,
            java_script_enabled=script,
        )
        page = context.new_page()
        page.said = []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("dialog", lambda dialog: page.said.append("dialog"))
        page.on("request", lambda one: page.said.append(one.url) if _fetched(one, path) else None)
        page.goto(path.as_uri())
        yield page
        context.close()

    return open_page


def _fetched(request, path) -> bool:
    return request.url != path.as_uri() and not request.url.startswith("data:")
