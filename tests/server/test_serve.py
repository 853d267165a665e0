"""The server on its port: slow clients, draining, TLS, and what it says at the start."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tests.server.engines import FakeEngine, double
from tests.server.running import question, running
from trunkline.errors import InputError
from trunkline.server.listening import bind, check_tls
from trunkline.server.work import Limits, ServerSettings

BODY = json.dumps(question()).encode()
HEAD = b"POST /v2/models/double/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"


def connected(port: int) -> socket.socket:
    """A connection."""
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def read_all(client: socket.socket) -> bytes:
    """What comes until the server closes."""
    with client, client.makefile("rb") as file:
        return file.read()


def test_clients_that_do_not_go_on() -> None:
    """One that says nothing, one that stops in its head, one that stops in its body, one that stops
    after an answer: each is closed, the third with 408; the server goes on."""
    limits = Limits(head_s=0.2, body_s=0.2, idle_s=1.0)
    with running(FakeEngine({"double": double}), ServerSettings(port=0, limits=limits)) as there:
        clients = [connected(there.port) for _ in range(4)]
        clients[1].sendall(b"GET /v2 HTTP/1.1\r\nHost: lo")
        clients[2].sendall(HEAD % len(BODY) + BODY[:5])
        clients[3].sendall(HEAD % len(BODY) + BODY)
        answers = [read_all(client) for client in clients]
        assert answers[0] == answers[1] == b""
        assert answers[2].startswith(b"HTTP/1.1 408 ")
        assert b'{"error":"the body did not arrive within 0.2 s"}' in answers[2]
        assert answers[3].startswith(b"HTTP/1.1 200 ")
        assert there.call("GET", "/v2/health/ready")[0] == 200


def test_a_head_that_trickles_is_closed() -> None:
    """Bytes of a head that come one by one do not keep the connection, not even after an answer on
    it."""
    limits = Limits(head_s=0.3, idle_s=30)
    with running(FakeEngine({"double": double}), ServerSettings(port=0, limits=limits)) as there:
        client = connected(there.port)
        client.sendall(HEAD % len(BODY) + BODY)
        client.settimeout(0.05)
        received = b""
        for _ in range(1000):
            try:
                chunk = client.recv(4096)
                if not chunk:
                    break
                received += chunk
            except TimeoutError:
                client.sendall(b"G" if received.endswith(b"}") else b"x")
            except ConnectionError:
                break
        else:
            pytest.fail("the connection was kept")
        assert received.startswith(b"HTTP/1.1 200 ")


def test_a_head_without_end_is_refused() -> None:
    """431 as soon as it is longer than the limit."""
    with running(FakeEngine({})) as there:
        client = connected(there.port)
        client.sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 40_000)
        assert read_all(client).startswith(b"HTTP/1.1 431 ")


def test_what_is_no_http_gets_an_error_object() -> None:
    """400 and `{"error": ...}`."""
    with running(FakeEngine({})) as there:
        client = connected(there.port)
        client.sendall(b"\x16\x03\x01 no HTTP\r\n\r\n")
        answer = read_all(client)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b'{"error":"Invalid HTTP request received."}' in answer


def test_a_refused_body_may_be_sent_to_its_end() -> None:
    """A client that sends all of a body that is too large reads 413, not a reset connection, and
    can go on over the same connection."""
    limits = Limits(body_bytes=1000)
    with running(FakeEngine({"double": double}), ServerSettings(port=0, limits=limits)) as there:
        client = connected(there.port)
        client.sendall(HEAD % 3_000_000 + b" " * 3_000_000)
        client.sendall(
            b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        answer = read_all(client)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b'{"live":true}')


def test_a_client_that_hangs_up_while_it_waits() -> None:
    """Its future is cancelled, over a real connection too."""
    engine = FakeEngine({"double": double}, hold=True)
    with running(engine) as there:
        client = connected(there.port)
        client.sendall(HEAD % len(BODY) + BODY)
        assert engine.submitted.wait(30)
        cancelled = threading.Event()
        engine.pending[0].add_done_callback(lambda _: cancelled.set())
        client.close()
        assert cancelled.wait(30)
        assert engine.pending[0].cancelled()


def test_an_answer_that_nobody_reads() -> None:
    """The connection is dropped, although its client keeps it open; one that reads gets it all."""
    big = question([1.0] * 1_500_000, outputs=[{"name": "y"}])
    big["outputs"][0]["parameters"] = {"binary_data": True}
    body = json.dumps(big).encode()
    settings = ServerSettings(port=0, limits=Limits(idle_s=0.3))
    with running(FakeEngine({"double": double}), settings) as there:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(30)
        client.connect(("127.0.0.1", there.port))
        client.sendall(HEAD % len(body) + body)
        gone = threading.Event()
        for _ in range(600):
            if there.engine.asked and not there.server.server_state.connections:
                break
            gone.wait(0.05)
        assert not there.server.server_state.connections
        client.close()
        reader = connected(there.port)
        reader.sendall((HEAD % len(body)).replace(b"Host", b"Connection: close\r\nHost") + body)
        assert len(read_all(reader)) > 6_000_000


def test_too_many_connections() -> None:
    """One more than allowed is told so; when one has ended there is room again."""
    settings = ServerSettings(port=0, limits=Limits(connections=2))
    with running(FakeEngine({}), settings) as there:
        first, second = connected(there.port), connected(there.port)
        for client in (first, second):
            client.sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
        assert read_all(connected(there.port)).startswith(b"HTTP/1.1 503 ")
        first.sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        read_all(first)
        assert there.call("GET", "/v2")[0] == 200
        second.close()


def test_draining() -> None:
    """From the signal on the server is not ready and refuses; what waits is answered; then it
    ends."""
    engine = FakeEngine({"double": double}, hold=True)
    engine.drained.clear()
    answers = []
    with running(engine) as there:
        waiting = threading.Thread(
            target=lambda: answers.append(there.call("POST", "/v2/models/double/infer", question()))
        )
        waiting.start()
        assert engine.submitted.wait(30)
        there.server.handle_exit(signal.SIGTERM, None)
        while there.call("GET", "/v2/health/ready")[0] != 503:
            pass
        status, headers, document = there.call("POST", "/v2/models/double/infer", question())
        assert (status, document["reason"], headers["retry-after"]) == (503, "draining", "3")
        engine.answer(engine.pending[0], "double", engine.asked[0][1])
        engine.drained.set()
        waiting.join(30)
    assert [one[0] for one in answers] == [200]


PROCESS = """
import sys
from tests.server.engines import FakeEngine, double
from trunkline.server.listening import bind
from trunkline.server.serve import serve
from trunkline.server.work import ServerSettings

engine = FakeEngine({"double": double})
settings = ServerSettings(port=0)
serve(engine, settings, bind(settings), listening=lambda url: print(url, flush=True))
print("ended")
"""


def test_a_process_ends_well() -> None:
    """It says where it listens when it does, and ends with status 0 after a Ctrl-C, even while a
    client keeps its connection open."""
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), process.stderr
        client = connected(int(url.rsplit(":", 1)[1]))
        client.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        client.close()
    assert (process.returncode, out, err) == (0, "ended\n", "")


HELD = """
import threading
from tests.server.engines import FakeEngine


class Held(FakeEngine):
    def drain(self, seconds):
        print("draining", flush=True)
        threading.Event().wait()

"""


def test_a_second_signal_ends_a_process_at_once() -> None:
    """Although draining would take for ever."""
    source = HELD + PROCESS.replace("engine = FakeEngine", "engine = Held")
    with subprocess.Popen(
        [sys.executable, "-c", source],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("http://")
        for line in ("draining\n", ""):
            process.send_signal(signal.SIGTERM)
            assert process.stdout.readline() == line
        assert process.wait(60) == -signal.SIGTERM


def test_a_port_in_use() -> None:
    """One line that names host, port and why."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--host 127.0.0.1 --port {port}: cannot .* in use"):
            bind(ServerSettings(port=port))
    with pytest.raises(InputError, match=r"--host no\.such\.host\.invalid"):
        bind(ServerSettings(host="no.such.host.invalid"))


def test_names_of_the_loopback_interface() -> None:
    """localhost is the IPv4 address, as clients expect; IPv6 works with and without brackets."""
    with bind(ServerSettings(host="localhost", port=0)) as found:
        assert found.getsockname()[0] == "127.0.0.1"
    if socket.has_ipv6:
        for host in ("::1", "[::1]"):
            with bind(ServerSettings(host=host, port=0)) as found:
                assert found.family is socket.AF_INET6


def certificate(folder: Path) -> tuple[str, str]:
    """A self-signed certificate for localhost, and its key."""
    files = str(folder / "cert.pem"), str(folder / "key.pem")
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    more = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = [*words.split(), *more, "-out", files[0], "-keyout", files[1]]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate with")
    return files


def test_tls(tmp_path: Path) -> None:
    """Over TLS with the certificate that was given; plain HTTP gets nothing there."""
    cert, key = certificate(tmp_path)
    settings = ServerSettings(port=0, certificate=cert, key=key)
    check_tls(settings)
    with running(FakeEngine({}), settings) as there:
        assert there.url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=cert)
        with context.wrap_socket(connected(there.port), server_hostname="localhost") as client:
            client.sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(12) == b"HTTP/1.1 200"
        plain = connected(there.port)
        plain.sendall(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with suppress(ConnectionResetError):
            assert not read_all(plain).startswith(b"HTTP")


def test_files_for_tls_that_cannot_be_used(tmp_path: Path) -> None:
    """One without the other, one that is not there, one that is none: refused before anything is
    served."""
    (tmp_path / "x").write_text("no certificate")
    for cert, key, message in (
        ("x", None, "both, or neither"),
        (None, "x", "both, or neither"),
        (str(tmp_path / "gone"), str(tmp_path / "x"), "No such file"),
        (str(tmp_path / "x"), str(tmp_path / "x"), "x: .*"),
    ):
        with pytest.raises(InputError, match=message):
            check_tls(ServerSettings(certificate=cert, key=key))


def test_no_header_tells_what_serves() -> None:
    """There is no `Server` header."""
    with running(FakeEngine({})) as there:
        assert "server" not in there.call("GET", "/v2")[1]


def test_small_answers_are_not_held_back() -> None:
    """The socket is one of TCP by name, or asyncio would leave Nagle's algorithm on: a short answer
    behind another would wait for the client's acknowledgement, 40 ms."""
    with bind(ServerSettings(port=0)) as place:
        assert place.proto == socket.IPPROTO_TCP
