"""A small server that speaks the streaming contract from a store, and can be told to do harm."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from trunkline.store import Store, StoredModel, TensorSpec
from trunkline.store.header import encode_header

Spoil = Callable[[bytearray, int], None]
"""Changes a stream's bytes, given where its data begin."""


@dataclass
class Harm:
    """What goes wrong.

    Attributes:
        cuts: the stream ends at each of these bytes, once.
        spoil: changes the bytes of every stream.
        metadata: changes the metadata of every stream's header.
        forget: every transfer is forgotten after the first cut, as by a server that is killed.
        forget_always: and after every other.
        stall: the stream stands still from this byte on, until `released`.
        refuse: opening is answered so.
        answer: changes the answer that opens a transfer.
        switch: after the first cut the model is this one.
        then: called after the first cut.
    """

    cuts: list[int] = field(default_factory=list)
    spoil: Spoil | None = None
    metadata: Callable[[dict[str, str]], None] | None = None
    forget: bool = False
    forget_always: bool = False
    stall: int | None = None
    refuse: tuple[int, dict[str, str]] | None = None
    answer: Callable[[dict[str, Any]], None] | None = None
    switch: str | None = None
    then: Callable[[], object] | None = None


class Streams:
    """The state of a server: its transfers, and what was asked of it."""

    def __init__(self, store: Store, harm: Harm) -> None:
        self.store = store
        self.harm = harm
        self.opened: list[dict[str, Any]] = []
        self.sent: list[tuple[str, int]] = []
        self.ended: list[str] = []
        self.streams: dict[str, bytes] = {}
        self.released = threading.Event()
        self._switched = False

    def open(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        """A transfer of what the asker lacks."""
        self.opened.append(asked)
        if self._switched and self.harm.switch is not None:
            name = self.harm.switch
        model = self.store.model(name)
        have = set(asked.get("have", ()))
        blocks = self.store.orders.blocks(model)
        sent = [block for block in blocks if block.digest not in have]
        stream, data_start = self._stream(model, [block.digest for block in sent])
        if self.harm.spoil is not None:
            self.harm.spoil(stream, data_start)
        number = str(len(self.opened))
        self.streams[number] = bytes(stream)
        answer = {
            "id": number,
            "model": name,
            "manifest": model.digest,
            "bytes": len(stream),
            "etag": f'"{number}"',
            "rate_bytes_per_s": None,
            "admitted": True,
            "blocks": [
                {"digest": one.digest, "size": one.size, "held": one.digest in have}
                for one in blocks
            ],
            "documents": {
                digest: base64.b64encode(self._raw(digest)).decode()
                for digest in self._documents(model)
                if digest not in have
            },
        }
        if self.harm.answer is not None:
            self.harm.answer(answer)
        return answer

    def cut(self) -> None:
        """What happens with the first cut."""
        if self.harm.then is not None and not self._switched:
            self.harm.then()
        self._switched = True
        if self.harm.forget or self.harm.forget_always:
            self.streams.clear()
            self.harm.forget = False

    def _stream(self, model: StoredModel, digests: list[str]) -> tuple[bytearray, int]:
        blocks = {block.digest: block for block in model.blocks}
        tensors, headers, base = [], {}, 0
        data = bytearray()
        for digest in digests:
            block, raw = blocks[digest], self._raw(digest)
            headers[digest] = base64.b64encode(raw[: block.data_start]).decode()
            data += raw[block.data_start :]
            tensors += [
                TensorSpec(t.name, t.dtype, t.shape, base + t.begin, base + t.end)
                for t in block.tensors
            ]
            base += block.bytes
        listed = [[one, [t.name for t in blocks[one].tensors]] for one in digests]
        metadata = {
            "format": "pt",
            "trunkline.model": model.name,
            "trunkline.manifest": model.digest,
            "trunkline.blocks": json.dumps(listed),
            "trunkline.headers": json.dumps(headers),
        }
        if self.harm.metadata is not None:
            self.harm.metadata(metadata)
        header = encode_header(tensors, metadata)
        return bytearray(header) + data, len(header)

    def _documents(self, model: StoredModel) -> list[str]:
        manifest = json.loads(self._raw(model.digest))
        layers = [manifest["config"], *manifest["layers"]]
        blocks = {block.digest for block in model.blocks}
        return [model.digest, *({one["digest"] for one in layers} - blocks)]

    def _raw(self, digest: str) -> bytes:
        return self.store.blob_path(digest).read_bytes()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        """Open a transfer."""
        streams = self.server.streams
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if streams.harm.refuse is not None:
            status, headers = streams.harm.refuse
            return self._answer(status, {"error": "it is refused"}, **headers)
        name = self.path.split("/")[3]
        if name not in streams.store.names():
            return self._answer(404, {"error": f"no model {name!r}"})
        answer = streams.open(name, asked)
        self._answer(201, answer, Location=f"/v2/streams/{answer['id']}")

    def do_GET(self) -> None:
        """Send a stream, or the rest of it."""
        streams = self.server.streams
        number = self.path.rpartition("/")[2]
        stream = streams.streams.get(number)
        if stream is None:
            return self._answer(404, {"error": "no such transfer"})
        told = self.headers.get("Range")
        begin = 0 if told is None else int(told.removeprefix("bytes=").removesuffix("-"))
        streams.sent.append((number, begin))
        self.send_response(206 if told else 200)
        self.send_header("Content-Length", str(len(stream) - begin))
        self.send_header("Etag", f'"{number}"')
        if told:
            span = f"bytes {begin}-{len(stream) - 1}/{len(stream)}"
            self.send_header("Content-Range", span)
        self.end_headers()
        self._send(stream, begin)

    def do_DELETE(self) -> None:
        """End a transfer."""
        number = self.path.rpartition("/")[2]
        self.server.streams.ended.append(number)
        self.send_response(204)
        self.end_headers()

    def _send(self, stream: bytes, begin: int) -> None:
        streams, harm = self.server.streams, self.server.streams.harm
        if harm.stall is not None:
            self.wfile.write(stream[begin : harm.stall])
            streams.released.wait(30)
            self.wfile.write(stream[max(begin, harm.stall) :])
        elif harm.cuts and harm.cuts[0] >= begin:
            self.wfile.write(stream[begin : harm.cuts.pop(0)])
            streams.cut()
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            self.wfile.write(stream[begin:])

    def _answer(self, status: int, document: dict[str, Any], **headers: str) -> None:
        raw = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    streams: Streams

    def handle_error(self, *_: Any) -> None:
        """A client that went away is none of ours to tell."""


@contextmanager
def serving(store: Store, harm: Harm | None = None) -> Iterator[tuple[str, Streams]]:
    """The address of a server, and its state."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.streams = Streams(store, harm or Harm())
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server.streams
    finally:
        server.streams.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
