"""The status page as a browser shows it: in Chromium, where there is one (`make browser`)."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.server.still_engine import StillEngine, digest, record, served
from trunkline.errors import Reason
from trunkline.server.operations import STATIC, Operations, routes

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: `make browser`")

QUIET = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars",
    "--disable-dev-shm-usage",
)  # fmt: skip
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"


class Page(HTMLParser):
    """The page's document after its scripts ran: texts and attributes by id, tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[str] = []
        self.attributes: dict[str, dict[str, str | None]] = {}
        self.texts: dict[str, str] = {}
        self._inside: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        if name := found.get("id"):
            self.attributes[name] = found
            self.texts[name] = ""
        if tag not in ("img", "meta", "link", "input"):
            self._inside.append((tag, found.get("id") or ""))

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for _, name in self._inside:
            if name:
                self.texts[name] += data


@contextmanager
def serving(app: ASGIApp) -> Iterator[tuple[str, uvicorn.Server]]:
    """An app behind a port of its own."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/", server
        finally:
            server.should_exit = True
            thread.join(30)


def chromium(address: str, folder: Path, *options: str) -> tuple[str, str]:
    """What Chromium writes to stdout and stderr, having shown a page for some virtual seconds."""
    assert CHROMIUM is not None
    sandbox = () if os.geteuid() else ("--no-sandbox",)  # root has none
    run = subprocess.run(
        [CHROMIUM, *QUIET, *sandbox, f"--user-data-dir={folder / 'profile'}",
         "--virtual-time-budget=3500", "--enable-logging=stderr", *options, address],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return run.stdout, run.stderr


def looked_at(app: ASGIApp, folder: Path) -> tuple[Page, list[str]]:
    """The page after some seconds, and what it complained of."""
    with serving(app) as (address, _):
        html, log = chromium(address, folder, "--dump-dom")
    return Page(html), [line for line in log.splitlines() if "CONSOLE" in line]


def lively() -> tuple[StillEngine, Operations]:
    """Three models, one with a name that is markup, and some traffic."""
    now = time.monotonic()
    engine = StillEngine(
        [
            served("a", {"bottom": 3_000_000, "a": 1_000_000}, ["bottom", "a"], waiting=2),
            served("b", {"bottom": 3_000_000, "b": 2_000_000}, ["bottom"]),
            served(HOSTILE, {"c": 500_000}, reason=f"damaged {HOSTILE}"),
        ],
        now_s=now,
        resident=frozenset({digest("bottom"), digest("a")}),
        resident_bytes=4_000_000,
        memory_bytes=8_000_000,
        computing=HOSTILE,
    )
    operations = Operations()
    for _ in range(5):
        operations.received("a")
    for in_time in (True, True, False):
        operations.answered("a", 0.1, in_time)
    operations.refused("a", Reason.QUEUE_FULL)
    operations.batch(record(HOSTILE, HOSTILE, compute_begin_s=now - 0.4, compute_end_s=now))
    return engine, operations


def test_page_shows_the_server(tmp_path: Path) -> None:
    """Models, what they share, memory, requests and batches are there; no name becomes markup, and
    the browser has nothing to complain of."""
    page, complaints = looked_at(Starlette(routes=routes(*lively())), tmp_path)
    assert complaints == []
    texts = page.texts
    assert texts["pill"] == "Ready"
    assert texts["goodput"] == "50 %"
    assert texts["lost-more"] == "since the start: late 1, queue full 1"
    assert (texts["waiting"], texts["waiting-more"]) == ("2", "1 in flight of 5 received")
    assert (texts["memory"], texts["memory-shared"]) == ("4.00 MB", "3.00 MB")
    assert texts["models-count"] == "2 of 3 ready"
    assert texts["sharing"] == "3 models of 9.50 MB are 6.50 MB of distinct blocks."
    assert "a and 1 more" in texts["families"]
    assert f"computing {HOSTILE}" in texts["now"]
    assert HOSTILE in texts["models"]
    assert HOSTILE in texts["recent"]
    assert texts["batches"].startswith(HOSTILE)
    assert page.tags.count("img") == 1  # the icon
    assert "<title>Trunkline</title>" in page.html.replace("(2) ", "")
    assert "aria-busy" not in page.attributes["main"]
    assert page.attributes["minute"]["aria-label"] == (
        "In the last minute 2 in time, 1 late, 1 refused"
    )


@pytest.mark.parametrize("count", [0, 100])
def test_any_number_of_models(count: int, tmp_path: Path) -> None:
    """No model at all, or a hundred with long names, is a page without complaints too."""
    models = [served(f"{i:03}" + 120 * "x", {"bottom": 10, f"{i}": i}) for i in range(count)]
    page, complaints = looked_at(
        Starlette(routes=routes(StillEngine(models), Operations())), tmp_path
    )
    assert complaints == []
    assert page.texts["pill"] == "Ready"
    rows = page.html[page.html.index('id="models"') :].split("</tbody>")[0].count("<tr")
    assert rows == count
    assert ("hidden" in page.attributes["models-none"]) == (count > 0)
    assert page.texts["goodput"] == "–"


def test_page_says_that_the_server_is_gone(tmp_path: Path) -> None:
    """When the server stops, what was last known stays there, marked as old."""
    asked: list[str] = []
    app = Starlette(routes=routes(*lively()))

    async def until_the_second(scope: Scope, receive: Receive, send: Send) -> None:
        asked.extend([scope["path"]] * (scope["path"] == "/status.json"))
        if len(asked) > 1:
            server.should_exit = server.force_exit = True
            await asyncio.Event().wait()  # until the server's end
        await app(scope, receive, send)

    with serving(until_the_second) as (address, server):
        html, _ = chromium(address, tmp_path, "--dump-dom")
    page = Page(html)
    assert page.texts["pill"].startswith("No answer for")
    assert page.attributes["pill"]["data-kind"] == "bad"
    assert "data-stale" in page.attributes["main"]
    assert page.texts["models-count"] == "2 of 3 ready"


class Guard:
    """Lets nobody but the page's own files through without the token."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Request(scope).headers.get("authorization")
        if scope["path"] in (*STATIC, "/begin") or given == "Bearer secret":
            await self.app(scope, receive, send)
        else:
            await Response(status_code=401)(scope, receive, send)


def test_page_asks_for_a_token(tmp_path: Path) -> None:
    """Where status.json wants a token, the page, which needs none, asks its reader."""
    page, _ = looked_at(Guard(Starlette(routes=routes(*lively()))), tmp_path)
    assert "open" in page.attributes["ask"]
    assert page.texts["pill"] == "Token needed"


def test_page_sends_its_token(tmp_path: Path) -> None:
    """The token that its reader gave goes with every question."""

    def begin(request: Request) -> Response:
        keep = "sessionStorage.setItem('trunkline-token', 'secret')"
        return HTMLResponse(f"<script>{keep}; location = '/'</script>")

    app = Guard(Starlette(routes=[*routes(*lively()), Route("/begin", begin)]))
    with serving(app) as (address, _):
        html, log = chromium(f"{address}begin", tmp_path, "--dump-dom")
    page = Page(html)
    assert page.texts["pill"] == "Ready"
    assert page.texts["sharing"].startswith("3 models")
    assert "CONSOLE" not in log


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(scheme: str, tmp_path: Path) -> None:
    """The page's ground is light or dark as its reader wants it, and something stands on it."""
    from matplotlib.image import imread

    picture = tmp_path / "page.png"
    preferred = f"--blink-settings=preferredColorScheme={1 if scheme == 'light' else 0}"
    with serving(Starlette(routes=routes(*lively()))) as (address, _):
        chromium(address, tmp_path, f"--screenshot={picture}", "--window-size=500,900", preferred)
    pixels = imread(picture)
    ground = float(pixels[-3:, :3, :3].mean())
    assert ground > 0.9 if scheme == "light" else ground < 0.15
    assert pixels[..., :3].std() > 0.05
