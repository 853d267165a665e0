"""`trunkline serve`: its options, and the whole command as a process, over a fake engine."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from tests.server.engines import FakeEngine, double
from trunkline.cli import main
from trunkline.cli.serve import serve as command
from trunkline.server.streams.calls import Streams
from trunkline.server.streams.transfers import StreamLimits
from trunkline.server.work import Limits, ServerSettings
from trunkline.store import Store

Run = Callable[..., tuple[int, str, str]]
Given = dict[str, Any]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Given:
    """What the command would serve, and how; nothing is served."""
    found: Given = {}

    def open_engine(store: Store, **options: Any) -> FakeEngine:
        found.update(options)
        return FakeEngine({"double": double})

    def serve(
        engine: FakeEngine,
        settings: ServerSettings,
        place: socket.socket,
        *,
        streams: Streams,
        **_: Any,
    ) -> None:
        found["settings"], found["streams"] = settings, streams.transfers.limits
        place.close()

    module = types.ModuleType("trunkline.server.opening")
    module.open_engine = open_engine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("trunkline.server.serve.serve", serve)
    monkeypatch.delenv("TRUNKLINE_TOKEN", raising=False)
    Store.open(tmp_path / "store", create=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRUNKLINE_STORE", "store")
    return found


@pytest.fixture
def run(given: Given, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `trunkline serve --port 0` with more options: status, output, errors."""

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(
                ["serve", *(() if any("--port" in one for one in words) else ("--port=0",)), *words]
            )
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def test_defaults_are_safe(run: Run, given: Given) -> None:
    """Loopback, no writes, the limits as they are documented."""
    assert run()[:2] == (0, "")
    assert given["settings"] == ServerSettings(port=0)
    assert given["limits"] == Limits()
    assert given["streams"] == StreamLimits()
    assert (given["models"], given["memory_bytes"], given["device"]) == (None, None, "cpu")


def test_the_help_names_the_defaults(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers in the help are those of `Limits` and `ServerSettings`."""
    monkeypatch.setenv("COLUMNS", "200")
    text = " ".join(run("--help")[1].split())
    limits = Limits()
    for number in (
        f"{limits.default_timeout_s * 1e3:.0f}",
        f"{limits.longest_timeout_s * 1e3:.0f}",
        f"{ServerSettings().drain_s:.0f}",
        f"{limits.stuck_after_s:.0f}",
        limits.queue,
        limits.batch,
        f"{limits.body_bytes // 2**20}MiB",
        StreamLimits().most,
    ):
        assert f"(default: {number})" in text


def test_every_option_arrives(run: Run, given: Given) -> None:
    """In the settings or with the engine."""
    words = (
        "--host=0.0.0.0 --models=a,b --memory=1MiB --device=meta --profile=p.json --policy=edf "
        "--timeout-ms=250 --longest-ms=500 --drain-s=3 --queue=7 --max-batch=5 --max-body=1KiB "
        "--stuck-s=2 --allow-host=a.example --allow-host=b.example "
        "--allow-repository-writes --whole-models --link=100Mbit --max-streams=9"
    )
    status, out, err = run(*words.split())
    assert (status, out) == (0, "")
    assert "note: whoever reaches 0.0.0.0 may call" in err
    settings: ServerSettings = given["settings"]
    assert (settings.host, settings.hosts) == ("0.0.0.0", ("a.example", "b.example"))
    assert settings.repository_writes
    assert settings.drain_s == 3
    assert settings.limits is given["limits"]
    assert given["streams"] == StreamLimits(12.5e6, 9)
    assert given["limits"] == Limits(
        default_timeout_s=0.25,
        longest_timeout_s=0.5,
        queue=7,
        batch=5,
        body_bytes=1024,
        stuck_after_s=2,
    )
    assert (given["models"], given["memory_bytes"]) == (["a", "b"], 2**20)
    assert given["whole_models"]
    assert (given["device"], given["profile"], given["policy"]) == ("meta", Path("p.json"), "edf")


NUMBERS = (
    "--port", "--memory", "--threads", "--timeout-ms", "--longest-ms", "--drain-s", "--stuck-s",
    "--queue", "--max-batch", "--max-body", "--max-streams",
)  # fmt: skip
ODD = ["nan", "inf", "-inf", "-1", "1e308", "-1e308", str(10**30), "1e-320", "x", ""]


@pytest.mark.parametrize("option", NUMBERS)
def test_odd_numbers_are_refused(run: Run, given: Given, option: str) -> None:
    """Status 2, the option named, nothing on standard output, nothing opened. (A `--drain-s` of
    next to nothing is a good one.)"""
    for value in ODD:
        if (option, value) == ("--drain-s", "1e-320"):
            continue
        status, out, err = run(f"{option}={value}")
        assert (status, out) == (2, "")
        assert option in err
        assert given == {}


@pytest.mark.parametrize("rate", ["100", "0Mbit", "-1Mbit", "nan", "10 parsecs"])
def test_odd_links_are_refused(run: Run, given: Given, rate: str) -> None:
    """Status 2, one line with option and value, nothing opened."""
    status, out, err = run(f"--link={rate}")
    assert (status, out, given) == (2, "", {})
    assert f"--link: rate {rate!r}" in err


def test_every_number_is_tried() -> None:
    """The list above holds every option that is a number."""
    found = {
        f"--{name.replace('_', '-')}"
        for name, kind in get_type_hints(command).items()
        if {int, float} & {kind, *get_args(kind)}
    }
    assert found == set(NUMBERS) - {"--memory", "--max-body"}


def test_a_default_beyond_the_longest(run: Run) -> None:
    """Refused, naming both."""
    status, _, err = run("--timeout-ms=10", "--longest-ms=5")
    assert (status, "--timeout-ms 10: more than the longest, --longest-ms 5" in err) == (2, True)


def test_where_the_token_comes_from(
    run: Run, given: Given, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From the environment, or from a file, which goes before; without the line's end."""
    monkeypatch.setenv("TRUNKLINE_TOKEN", "one")
    run()
    assert given["settings"].token == "one"
    (tmp_path / "t").write_text("s3cret\n")
    run("--token-file", "t")
    assert given["settings"].token == "s3cret"
    _, _, err = run("--token-file", "t", "--host", "0.0.0.0")
    assert "the token goes over the network in clear" in err
    assert "s3cret" not in err


@pytest.mark.parametrize("content", ["", "\n", "a\nb", "ü", "x" * 4097])
def test_tokens_that_cannot_be_used(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    """Empty, of two lines, not ASCII, too long: refused, and not repeated."""
    (tmp_path / "t").write_text(content)
    status, _, err = run("--token-file", "t")
    assert (status, "--token-file t: a token is one line" in err) == (2, True)
    monkeypatch.setenv("TRUNKLINE_TOKEN", content)
    status, _, err = run()
    assert (status, "$TRUNKLINE_TOKEN: a token is one line" in err) == (2, True)


def test_files_that_are_not_there(run: Run) -> None:
    """A token's, a certificate's: refused by name."""
    assert "--token-file gone: cannot be read: No such file" in run("--token-file", "gone")[2]
    status, _, err = run("--tls-certificate", "gone", "--tls-key", "gone")
    assert (status, "--tls-certificate gone" in err) == (2, True)
    assert "both, or neither" in run("--tls-key", "gone")[2]


def test_a_port_in_use(run: Run, given: Given) -> None:
    """One line, status 2, before any model is looked at."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, out, err = run(f"--port={port}")
    assert (status, out, given) == (2, "", {})
    assert err == (
        f"trunkline: --host 127.0.0.1 --port {port}: cannot listen there: Address already in use\n"
    )


PROCESS = """
import sys, types
from tests.server.engines import FakeEngine, double
from trunkline.cli import main

module = types.ModuleType("trunkline.server.opening")
module.open_engine = lambda store, **options: FakeEngine({"double": double})
sys.modules[module.__name__] = module
main(["serve", "--port", "0"])
"""


def test_the_command_as_a_process(given: Given) -> None:
    """It says where it serves, answers a call, and a SIGTERM ends it with status 0."""
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("serving 1 model at http://127.0.0.1:")
        client = http.client.HTTPConnection(said.split("//")[1].strip(), timeout=30)
        one = {"name": "x", "datatype": "FP32", "shape": [1], "data": [4]}
        client.request("POST", "/v2/models/double/infer", json.dumps({"inputs": [one]}))
        answer = json.loads(client.getresponse().read())
        assert answer["outputs"][0]["data"] == [8.0]
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        client.close()
    assert (process.returncode, out) == (0, "")
    events = [json.loads(line)["event"] for line in err.splitlines()]
    assert (events[0], events[-1]) == ("start", "stop")
