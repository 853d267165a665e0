"""`trunkline serve-store` as a process: stock clients, an end that lets downloads end."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.commands import trunkline
from tests.server.distribution.store_servers import layered, make_store
from trunkline.store import Store


@contextmanager
def command(*words: object) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`trunkline serve-store ... --port 0`, and its port."""
    line = [sys.executable, "-m", "trunkline", "serve-store", *map(str, words), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said.startswith("serving 1 model at http://127.0.0.1:"), process.stderr
            yield process, int(said.rpartition(":")[2].partition("/")[0])
        finally:
            process.kill()


def test_a_download_ends_after_the_signal(tmp_path: Path) -> None:
    """SIGTERM in the middle of a download: nobody else is let in, the download gets all its bytes,
    and the process ends with status 0 without having loaded torch."""
    store = make_store(tmp_path / "store", {"a": layered(1, size=3000)})  # 36 MB, past all buffers
    block = store.model("a").blocks[0]
    with (
        command(store.path) as (process, port),
        socket.create_connection(("127.0.0.1", port), timeout=60) as client,
    ):
        request = f"GET /v2/models/blobs/{block.digest} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        client.sendall(request.encode())
        file = client.makefile("rb")
        assert file.readline() == b"HTTP/1.1 200 OK\r\n"
        maps = Path(f"/proc/{process.pid}/maps")
        assert not maps.exists() or "libtorch" not in maps.read_text()
        process.send_signal(signal.SIGTERM)
        while file.readline().strip():
            pass
        body = file.read(block.size)
        assert "sha256:" + hashlib.sha256(body).hexdigest() == block.digest
        file.close()
        client.close()
        assert process.wait(60) == 0


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_skopeo_copies_a_model(tmp_path: Path) -> None:
    """Another registry's client copies a model whole; the copy is a store that verifies."""
    store = make_store(tmp_path / "store", {"A_b": layered(1, 2)})
    with command(store.path) as (_, port):
        source = f"docker://127.0.0.1:{port}/models:A_b"
        target = f"oci:{tmp_path / 'copy'}:A_b"
        words = ["skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", source, target]
        subprocess.run(words, check=True, capture_output=True, timeout=60)
    copy = Store.open(tmp_path / "copy")
    assert copy.model("A_b").digest == store.model("A_b").digest
    assert copy.verify().problems == ()


def test_bad_input(tmp_path: Path) -> None:
    """What cannot be served ends in one line and status 2."""
    make_store(tmp_path / "store", {"a": layered(1)})
    (tmp_path / "broken").mkdir()
    shutil.copytree(tmp_path / "store", tmp_path / "broken", dirs_exist_ok=True)
    (tmp_path / "broken" / "index.json").write_text("{")
    for words, expected in (
        ([tmp_path / "none"], "no store at"),
        ([tmp_path / "broken"], "index.json is corrupt"),
        ([tmp_path / "store", "--host", "300.1.1.1"], "cannot listen there"),
        ([tmp_path / "store", "--token-file", tmp_path / "none"], "cannot be read"),
        ([tmp_path / "store", "--tls-key", "x.pem"], "both, or neither"),
        ([tmp_path / "store", "--store", tmp_path / "b"], "a store is given twice"),
    ):
        done = trunkline("serve-store", *words)
        assert done.returncode == 2
        assert expected in done.stderr
        assert done.stderr.count("\n") == 1
