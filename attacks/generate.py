"""Files that an importer must refuse, and stores that lie: each about itself in one way.

`python attacks/generate.py FOLDER` writes them; `tests/store/test_attacks.py` feeds the files to
the importer, opens the stores, and expects the reason given here in the message.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import struct
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Attack:
    """A file or folder that must be refused.

    Attributes:
        name: the path to import, or the store's.
        files: path -> content, to be written below a folder.
        says: part of the message that must come.
    """

    name: str
    files: dict[str, bytes]
    says: str


def tensor(dtype: str, shape: list[Any], begin: Any, end: Any) -> dict[str, Any]:
    """A header entry."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A file with this header (bytes, or what becomes JSON), true or lying about its length."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


ONE = tensor("U8", [4], 0, 4)
"""Four bytes at the start of the data."""


def headers() -> Iterator[tuple[str, bytes, str]]:
    """Headers that are no headers: (name, content, what the message must say)."""
    yield "empty", b"", "too few"
    yield "seven-bytes", b"\x02\0\0\0\0\0\0", "too few"
    yield "length-beyond-file", safetensors({"a": ONE}, b"1234", length=10_000), "passes the end"
    yield "length-huge", safetensors({"a": ONE}, b"1234", length=2**63), "over the limit"
    yield "length-minus-one", safetensors({"a": ONE}, b"1234", length=2**64 - 1), "over the limit"
    yield "length-zero", safetensors(b""), "header is empty"
    yield "no-brace", safetensors(b"[]"), "begins with"
    yield "leading-space", safetensors(b" {}"), "begins with"
    yield "byte-order-mark", safetensors("\ufeff{}".encode()), "begins with"
    yield "not-utf8", safetensors(b'{"\xff\xfe":{}}'), "not valid"
    yield (
        "lone-surrogate",
        safetensors(b'{"\\ud800":' + json.dumps(ONE).encode() + b"}", b"1234"),
        ("Unicode"),
    )
    yield "unfinished", safetensors(b'{"a":'), "not valid"
    yield "two-objects", safetensors(b"{}{}"), "not valid"
    yield "deep-nesting", safetensors(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"), "valid"
    yield "not-a-number", safetensors(b'{"a":NaN}'), "NaN"
    one = json.dumps(ONE).encode()
    yield "same-key-twice", safetensors(b'{"a":' + one + b',"a":' + one + b"}", b"1234"), "twice"
    yield (
        "same-field-twice",
        safetensors(b'{"a":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}}', b"1234"),
        "twice",
    )


def tensors() -> Iterator[tuple[str, bytes, str]]:
    """Entries that contradict themselves, each other or the data."""
    data = b"12345678"
    long = "x" * 5_000
    whole = tensor("U8", [8], 0, 8)
    for name, header, content, says in (
        ("unknown-type", {"a": tensor("F128", [1], 0, 8)}, data, "unknown type"),
        ("type-is-a-list", {"a": tensor(["F32"], [2], 0, 8)}, data, "unknown type"),  # type: ignore[arg-type]
        ("four-bit-type", {"a": tensor("F4", [16], 0, 8)}, data, "less than a byte"),
        ("entry-is-a-list", {"a": ["U8", [8], [0, 8]]}, data, "exactly the fields"),
        ("missing-field", {"a": {"dtype": "U8", "shape": [8]}}, data, "exactly the fields"),
        ("unknown-field", {"a": {**tensor("U8", [8], 0, 8), "run": 1}}, data, "exactly the"),
        ("negative-size", {"a": tensor("U8", [-8], 0, 8)}, data, "negative"),
        ("fractional-size", {"a": tensor("U8", [8.0], 0, 8)}, data, "whole numbers"),
        ("true-size", {"a": tensor("U8", [True, 8], 0, 8)}, data, "whole numbers"),
        ("huge-size", {"a": tensor("U8", [10**400], 0, 8)}, data, "too large"),
        ("product-overflows", {"a": tensor("U8", [2**32, 2**32], 0, 0)}, b"", "overflows"),
        ("overflow-times-zero", {"a": tensor("U8", [2**62, 2**62, 0], 0, 0)}, b"", "overflows"),
        ("bytes-overflow", {"a": tensor("F64", [2**61], 0, 0)}, b"", "overflows"),
        ("offsets-negative", {"a": tensor("U8", [8], -8, 0)}, data, "negative"),
        ("offsets-reversed", {"a": tensor("U8", [8], 8, 0)}, data, "do not lie within"),
        ("offsets-beyond", {"a": tensor("U8", [8], 8, 16)}, data, "do not lie within"),
        ("offsets-three", {"a": {**ONE, "data_offsets": [0, 4, 8]}}, data, "no pair"),
        ("shape-too-large", {"a": tensor("F32", [3], 0, 8)}, data, "takes 12 bytes"),
        ("shape-too-small", {"a": tensor("F32", [1], 0, 8)}, data, "takes 4 bytes"),
        ("hole-first", {"a": tensor("U8", [4], 4, 8)}, data, "belong to no tensor"),
        ("hole-between", {"a": tensor("U8", [2], 0, 2), "b": tensor("U8", [4], 4, 8)}, data, "no"),
        ("hole-last", {"a": ONE}, data, "belong to no tensor"),
        ("overlap", {"a": tensor("U8", [6], 0, 6), "b": tensor("U8", [4], 4, 8)}, data, "inside"),
        ("same-bytes-twice", {"a": whole, "b": whole}, data, (
            "inside"
        )),
        ("empty-tensor-inside", {"a": whole, "b": tensor("U8", [0], 4, 4)}, data, (
            "inside"
        )),
        ("metadata-number", {"__metadata__": {"a": 1}, "b": whole}, data, "string"),
        ("metadata-null", {"__metadata__": None, "b": whole}, data, "no object"),
        ("long-name", {long: tensor("U8", [8], 0, 8)}, data, "limit"),
        ("truncated-data", {"a": tensor("U8", [9], 0, 9)}, data, "truncated"),
        ("data-after-the-end", {"a": ONE}, b"1234<script>", "belong to no tensor"),
    ):  # fmt: skip
        yield name, safetensors(header, content), says


def pickles() -> Iterator[tuple[str, dict[str, bytes], str]]:
    """Pickles under their own names and under false ones."""
    plain = pickle.dumps({"a": [1.0]}, protocol=2)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("archive/data.pkl", plain)
    for suffix in ("bin", "pt", "pth", "ckpt"):
        yield f"model.{suffix}", {f"model.{suffix}": archive.getvalue()}, "is a pickle"
    yield "disguised-zip.safetensors", {"disguised-zip.safetensors": archive.getvalue()}, "pickle"
    yield "disguised-pickle.safetensors", {"disguised-pickle.safetensors": plain}, "is a pickle"
    folder = {"old/config.json": b"{}", "old/pytorch_model.bin": archive.getvalue()}
    yield "old", folder, "pytorch_model.bin is a pickle"


def folders() -> Iterator[tuple[str, dict[str, bytes], str]]:
    """Folders whose index lies."""
    shard = safetensors({"a": ONE}, b"1234")

    def index(weight_map: Any) -> bytes:
        return json.dumps({"weight_map": weight_map}).encode()

    for name, content, says in (
        ("shard-missing", index({"a": "s1.safetensors", "b": "s2.safetensors"}), "is missing"),
        ("tensor-missing", index({"a": "s1.safetensors", "b": "s1.safetensors"}), "it does not"),
        ("shard-above", index({"a": "../s1.safetensors"}), "leaves the folder"),
        ("shard-inside-above", index({"a": "x/../../s1.safetensors"}), "leaves the folder"),
        ("shard-absolute", index({"a": "/etc/passwd"}), "leaves the folder"),
        ("shard-backslash", index({"a": "..\\s1.safetensors"}), "leaves the folder"),
        ("shard-nul", index({"a": "s1\0.safetensors"}), "leaves the folder"),
        ("shard-number", index({"a": 1}), "no file name"),
        ("shard-pickle", index({"a": "s1.bin"}), "is a pickle"),
        ("index-empty", index({}), "weight_map"),
        ("index-list", b"[]", "no JSON object"),
        ("index-broken", b'{"weight_map": {', "no valid JSON"),
    ):
        files = {"config.json": b"{}", "model.safetensors.index.json": content}
        files["s1.safetensors"] = shard
        yield name, {f"{name}/{path}": data for path, data in files.items()}, says
    files = {"config.json": b'{"architectures": [', "model.safetensors": shard}
    yield "config-broken", {f"config-broken/{k}": v for k, v in files.items()}, "no valid JSON"
    both = {"two/a.safetensors": shard, "two/b.safetensors": shard}
    yield "two", both, "name one of them"
    yield "nothing", {"nothing/readme.txt": b"hello"}, "no model.safetensors"


MODEL = "application/vnd.cncf.model.manifest.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
WEIGHT = "application/vnd.cncf.model.weight.v1.raw"
FILE = "application/vnd.cncf.model.weight.config.v1.raw"
NAME = "org.opencontainers.image.ref.name"
PATH = "org.cncf.model.filepath"


class LyingStore:
    """A store made by hand, with a model called `good`; then it lies about one called `bad`."""

    def __init__(self) -> None:
        self.files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
        self.entries: list[Any] = []
        self.add("good", self.manifest([self.layer(safetensors({"g.w": ONE}, b"good"))]))

    def blob(self, content: bytes, kind: str, **more: Any) -> dict[str, Any]:
        """The descriptor of a blob that is written."""
        hexadecimal = hashlib.sha256(content).hexdigest()
        self.files[f"blobs/sha256/{hexadecimal}"] = content
        digest = f"sha256:{hexadecimal}"
        return {"mediaType": kind, "digest": digest, "size": len(content), **more}

    def layer(self, content: bytes, path: str = "w.safetensors", **lies: Any) -> dict[str, Any]:
        """A block's descriptor."""
        return self.blob(content, WEIGHT, annotations={PATH: path}) | lies

    def manifest(self, layers: list[Any], **lies: Any) -> dict[str, Any]:
        """A model's manifest."""
        config = self.blob(b"{}", "application/vnd.cncf.model.config.v1+json")
        whole = {"schemaVersion": 2, "artifactType": MODEL, "config": config, "layers": layers}
        return self.blob(json.dumps(whole | lies).encode(), MANIFEST)

    def add(self, name: Any, manifest: dict[str, Any], **lies: Any) -> None:
        """An entry of the index."""
        self.entries.append({**manifest, "annotations": {NAME: name}, **lies})

    def content(self, index: bytes | None = None) -> dict[str, bytes]:
        """All files."""
        whole = json.dumps({"schemaVersion": 2, "manifests": self.entries}).encode()
        return {**self.files, "index.json": whole if index is None else index}


def _lying_manifests() -> Iterator[tuple[str, dict[str, bytes], str]]:
    """Stores whose manifest of `bad` lies."""
    block = safetensors({"b.w": ONE}, b"1234")
    outside = "sha256:../../../../etc/passwd"
    for name, lies, says in (
        ("layer-digest-is-a-path", {"digest": outside}, "is no digest"),
        ("layer-size-negative", {"size": -1}, "size"),
        ("layer-size-wrong", {"size": 1}, "says 1"),
        ("layer-missing", {"digest": "sha256:" + "a" * 64}, "it is missing"),
        ("layer-path-above", {"annotations": {PATH: "../../x"}}, "leaves its folder"),
        ("layer-of-tar", {"mediaType": WEIGHT.replace("raw", "tar")}, "only raw"),
    ):
        store = LyingStore()
        store.add("bad", store.manifest([store.layer(block, **lies)]))
        yield name, store.content(), says
    for name, layers, says in (
        ("block-is-a-pickle", [pickle.dumps({"a": 1}, protocol=2)], "is a pickle"),
        ("block-overlap", [safetensors({"a": ONE, "b": ONE}, b"1234")], "inside"),
        ("block-truncated", [block[:-1]], "truncated"),
        ("tensor-in-two-blocks", [block, safetensors({"b.w": ONE}, b"4321")], "both hold"),
    ):
        store = LyingStore()
        layers_ = [store.layer(one, f"{i}.safetensors") for i, one in enumerate(layers)]
        store.add("bad", store.manifest(layers_))
        yield name, store.content(), says
    own = {"format": "trunkline/model/1", "architecture": {"kind": "factory", "factory": "os"}}
    deep = b'{"format":"trunkline/model/1","architecture":{"kind":"factory","factory":"a:b",'
    deep += b'"kwargs":' + b'{"a":' * 300 + b"1" + b"}" * 302
    for name, content, says in (
        ("factory-without-callable", json.dumps(own).encode(), "neither a factory nor"),
        ("kwargs-nested-deep", deep, "deep"),
        ("own-file-of-another-kind", b'{"format": "trunkline/model/99"}', "is not 'trunkline"),
        ("own-file-broken", b'{"format', "is corrupt"),
    ):
        store = LyingStore()
        file = store.blob(content, FILE, annotations={PATH: "trunkline.json"})
        store.add("bad", store.manifest([store.layer(block), file]))
        yield name, store.content(), says


def stores() -> list[Attack]:
    """Stores that lie about a model called `bad`; another, `good`, is in order."""
    found = [
        Attack(name, {f"{name}/{path}": data for path, data in files.items()}, says)
        for name, files, says in _lying_manifests()
    ]

    def add(name: str, files: dict[str, bytes], says: str) -> None:
        found.append(Attack(name, {f"{name}/{path}": one for path, one in files.items()}, says))

    for name, entry, says in (
        ("entry-is-empty", {}, "no descriptor"),
        ("entry-leaves-the-store", {"digest": "sha256:../x"}, "is no digest"),
        ("entry-escapes", {"digest": "\x1b[2J"}, "is no digest"),
    ):
        store = LyingStore()
        whole = {"mediaType": MANIFEST, "size": 1, **entry} if entry else {}
        store.entries.append({**whole, "annotations": {NAME: "bad"}})
        add(name, store.content(), says)
    store = LyingStore()
    store.add("bad", store.blob(b"no json", MANIFEST))
    add("manifest-is-none", store.content(), "is corrupt")
    store = LyingStore()
    store.add("bad", store.manifest([], artifactType="application/x"), artifactType=MODEL)
    add("manifest-of-another-kind", store.content(), "no ModelPack manifest")
    store = LyingStore()
    last = store.blob(b"no json", MANIFEST)
    for _ in range(2_000):  # deeper than Python recurses
        last = store.blob(json.dumps({"manifests": [last]}).encode(), INDEX)
    store.add("bad", last, artifactType=MODEL)
    add("index-nested-deep", store.content(), "no ModelPack manifest")
    return found


def attacks() -> list[Attack]:
    """All files and folders to import."""
    found = [
        Attack(f"{name}.safetensors", {f"{name}.safetensors": content}, says)
        for name, content, says in (*headers(), *tensors())
    ]
    return found + [Attack(name, files, says) for name, files, says in (*pickles(), *folders())]


def write(attack: Attack, folder: Path) -> Path:
    """Write an attack's files below a folder; the path to import."""
    for path, content in attack.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder / attack.name


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "attack-files")
    for one in (*attacks(), *stores()):
        print(f"{write(one, target)}: must be refused, saying {one.says!r}")
