"""Pulling a variant from a registry: bytes and time, against curl and others on the same bytes.

    python -m benchmarks.pull [--repeats 9]

Two variants of a ResNet-50 (94 MB, random weights) share 85 % of their 107 layers, either the
bottom ones or layers anywhere. A site has the first and pulls the second, from Debian's
docker-registry on loopback, plain HTTP. The other ways fetch the very blobs that are missing, and
the manifest, from the same registry, in turn with `Store.pull`. They write files and do nothing
else; a pull also hashes every byte, syncs every file, looks into every block, and names the model.
"curl, then sha256sum and sync" is curl with the first two of these, and "urllib3, 8 threads, sha256
and sync" hashes each body while it comes and syncs it while others come, which is what is left of a
pull without a store: the limit of one that is written in Python. Processes are timed from start to
end, and so is the command `trunkline pull`, most of which is the start of Python.

Bytes are those that the registry's log says it has sent. Beside them: the whole model as one file,
and what chunking would move (the growth of casync's and of hf-xet's stores, both compressed, when
the second file comes to the first).

Last, the bottom case over a link between two network namespaces that the kernel's token bucket
shapes (`tc`, as root, on Linux; left out elsewhere): on loopback no link is measured, but the
processors that the registry and its client share.

Targets: the missing blocks' bytes + 1 %, and 1.2 times the time of curl, and of httpx.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import urllib3
from safetensors.torch import save_file

from benchmarks.measure import Times, Verdict, figure, table, verdict
from benchmarks.namespaces import SERVER_HOST, NamespacesMissing, inside, namespaces
from benchmarks.switching import ARCHITECTURE, variants
from trunkline.runtime import state_dict_source
from trunkline.store import Store
from trunkline.store.manifest import MANIFEST_TYPE
from trunkline.store.registry import Reference, Repository, open_repository
from trunkline.store.registry.transport import WORKERS

OWN = "Store.pull"
CURL = f"curl, {WORKERS} in flight"
ONE_BY_ONE = "curl, one by one"
WHOLE = "whole model, curl"
HTTPX = f"httpx2, {WORKERS} threads"
FLOOR = f"urllib3, {WORKERS} threads, sha256 and sync"
LINKS_MBIT = (1000, 200)
ACCEPT = {"Accept": MANIFEST_TYPE}
CONFIG = """\
version: 0.1
log: {{accesslog: {{disabled: false}}, level: info}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "{host}:0"}}
"""


@dataclass(frozen=True)
class Server:
    """A running docker-registry."""

    host: str
    log: Path

    def sent_bytes(self) -> int:
        """The bytes of all bodies that it has sent so far, by its log."""
        lines = re.findall(r'"GET /v2/[^"]*" \d+ (\d+)', self.log.read_text())
        return sum(map(int, lines))


@dataclass
class Case:
    """One position of the shared layers.

    Attributes:
        missing: the blobs to be fetched (without the manifest), by digest with their bytes.
        blocks_bytes: of those that are blocks.
        whole: the digest of the second model as one file, which the registry has too.
    """

    folder: Path
    repository: Repository
    server: Server
    missing: dict[str, int] = field(default_factory=dict)
    blocks_bytes: int = 0
    whole: str = ""
    number: int = 0

    def url(self, digest: str) -> str:
        return f"http://{self.repository.transport.host}/v2/{self.repository.name}/blobs/{digest}"

    @property
    def urls(self) -> list[str]:
        host, name = self.repository.transport.host, self.repository.name
        return [f"http://{host}/v2/{name}/manifests/second", *map(self.url, self.missing)]

    def fresh(self) -> Path:
        """An empty folder."""
        self.number += 1
        path = self.folder / f"out{self.number}"
        path.mkdir()
        return path


@contextmanager
def docker_registry(
    folder: Path, host: str = "127.0.0.1", within: Sequence[str] = ()
) -> Iterator[Server]:
    """A registry over an empty folder; `within` comes before its command."""
    program = shutil.which("docker-registry")
    if program is None:
        sys.exit("no docker-registry here: `make registry` as root installs Debian's")
    config, log = folder / "registry.yml", folder / "registry.log"
    config.write_text(CONFIG.format(folder=folder / "registry", host=host))
    with log.open("wb") as output:
        command = [*within, program, "serve", str(config)]
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            while not (found := re.search(r"listening on ([0-9.]+:\d+)", log.read_text())):
                time.sleep(0.01)
            yield Server(found[1], log)
        finally:
            process.kill()
            process.wait()


def prepare(position: str, folder: Path, server: Server) -> Case:
    """Push both variants, and the second once more as one file."""
    reference = Reference.parse(f"oci://{server.host}/{position}")
    case = Case(folder, open_repository(reference, insecure=True), server)
    store = Store.open(folder / "source", create=True)
    digests: dict[str, dict[str, int]] = {}
    for name, state in zip(("first", "second"), variants(position), strict=True):
        store.add(name, state_dict_source(state, architecture=ARCHITECTURE))
        store.push(name, case.repository, name)
        save_file(state, folder / f"{name}.safetensors")
        manifest = json.loads(case.repository.manifest(name)[1])
        parts = [*manifest["layers"], manifest["config"]]
        digests[name] = {one["digest"]: one["size"] for one in parts}
    case.missing = {k: v for k, v in digests["second"].items() if k not in digests["first"]}
    blocks = {one.digest for one in store.model("second").blocks}
    case.blocks_bytes = sum(size for digest, size in case.missing.items() if digest in blocks)
    raw = (folder / "second.safetensors").read_bytes()
    case.whole = push_file(case.repository, raw)
    return case


def push_file(repository: Repository, raw: bytes) -> str:
    """Put a file into a repository as one blob; its digest."""
    from trunkline.store.digests import digest_of

    digest = digest_of(raw)
    place = repository.mount(digest, None)
    assert place is not None
    repository.upload(place, digest, len(raw), lambda: raw)
    return digest


# ---- the ways ----


def curl(case: Case, urls: Sequence[str], *options: str, then: str = "true") -> None:
    """One curl process for all; `then`: a command of the shell for the files."""
    out = case.fresh()
    lines = [f'url = "{url}"\noutput = "{out / str(i)}"' for i, url in enumerate(urls)]
    (out / "list").write_text("\n".join(lines))
    command = ["curl", "-sS", "--fail", "-H", f"Accept: {MANIFEST_TYPE}", *options]
    command += ["-K", str(out / "list")]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["sh", "-c", then], check=True, cwd=out, stdout=subprocess.DEVNULL)


def by_urllib3(case: Case, careful: bool = False) -> None:
    """urllib3 in threads, each body written as it comes; if `careful`, hashed on the way and synced
    while others come."""
    out, pool = case.fresh(), urllib3.PoolManager(maxsize=WORKERS)
    requests = threading.Semaphore(WORKERS)

    def get(item: tuple[int, str]) -> None:
        hasher = hashlib.sha256()
        with (out / str(item[0])).open("wb", buffering=0) as file:
            with requests:
                response = pool.request("GET", item[1], headers=ACCEPT, preload_content=False)
                for piece in response.stream(2**18):
                    file.write(piece)
                    if careful:
                        hasher.update(piece)
                response.release_conn()
            if careful:
                os.fdatasync(file.fileno())

    with ThreadPoolExecutor(2 * WORKERS if careful else WORKERS) as threads:
        list(threads.map(get, enumerate(case.urls)))
    if careful:
        folder = os.open(out, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def by_httpx(case: Case) -> None:
    """httpx (its successor httpx2) in threads, each body written as it comes."""
    import httpx2

    out = case.fresh()

    def get(item: tuple[int, str]) -> None:
        with client.stream("GET", item[1]) as response, (out / str(item[0])).open("wb") as file:
            for piece in response.iter_raw(2**20):
                file.write(piece)

    with httpx2.Client(headers=ACCEPT) as client, ThreadPoolExecutor(WORKERS) as threads:
        list(threads.map(get, enumerate(case.urls)))


def by_command(path: Path, case: Case) -> None:
    """The command line, as a process."""
    place = f"oci://{case.repository}:second"
    command = [sys.executable, "-m", "trunkline", "pull", place, "--insecure", "--store", str(path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def ways(case: Case) -> dict[str, Callable[[Path], object]]:
    """What takes turns; each gets a store that has the first variant."""
    parallel = ("--parallel", "--parallel-max", str(WORKERS))
    careful = "sha256sum * && sync *"
    found: dict[str, Callable[[Path], object]] = {
        OWN: lambda path: Store.open(path).pull(case.repository, "second", "second"),
        CURL: lambda _: curl(case, case.urls, *parallel),
        ONE_BY_ONE: lambda _: curl(case, case.urls),
        "curl, then sha256sum and sync": lambda _: curl(case, case.urls, *parallel, then=careful),
        f"urllib3, {WORKERS} threads": lambda _: by_urllib3(case),
        FLOOR: lambda _: by_urllib3(case, careful=True),
        WHOLE: lambda _: curl(case, [case.url(case.whole)]),
        "whole model, curl, sha256sum, sync": lambda _: curl(
            case, [case.url(case.whole)], then=careful
        ),
        "trunkline pull (command)": lambda path: by_command(path, case),
    }
    try:
        import httpx2  # noqa: F401

        found[HTTPX] = lambda _: by_httpx(case)
    except ImportError:
        pass
    return found


def timed(
    case: Case, repeats: int, names: Collection[str] | None = None
) -> tuple[dict[str, Times], int]:
    """Seconds of every way in turn, or those of `names`, after a round that is not counted; and the
    bytes that the registry sent for one pull."""
    site = case.folder / "site"
    Store.open(site, create=True).pull(case.repository, "first", "first")
    seconds: dict[str, list[float]] = {}
    sent = 0
    for turn in range(repeats + 1):
        for name, way in ways(case).items():
            if names is not None and name not in names:
                continue
            path = case.fresh() / "store"
            shutil.copytree(site, path)
            os.sync()  # what others wrote is not this one's to wait for
            before = case.server.sent_bytes() if name == OWN else 0
            started = time.perf_counter()
            way(path)
            if turn:
                seconds.setdefault(name, []).append(time.perf_counter() - started)
            if name == OWN:
                sent = case.server.sent_bytes() - before
                assert Store.open(path).verify().ok
            for one in case.folder.glob("out*"):
                shutil.rmtree(one)
    return {name: Times(tuple(one)) for name, one in seconds.items()}, sent


# ---- chunking ----


def casync_bytes(folder: Path) -> int | None:
    """What the second file adds to casync's store of the first, with its index."""
    if shutil.which("casync") is None:
        return None
    store = folder / "casync"

    def make(name: str) -> int:
        index = folder / f"{name}.caibx"
        words = ["casync", "make", f"--store={store}", index, folder / f"{name}.safetensors"]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        return index.stat().st_size

    make("first")
    before = size_of(store)
    return make("second") + size_of(store) - before


def xet_bytes(folder: Path) -> int | None:
    """What the second file adds to a local hf-xet store of the first."""
    try:
        import hf_xet
    except ImportError:
        return None
    store = folder / "xet"

    def upload(name: str) -> int:
        content = (folder / f"{name}.safetensors").read_bytes()
        token = ("none", 2**40)
        hf_xet.upload_bytes([content], f"local://{store}", token, lambda: token, None, "model")
        return size_of(store)

    os.environ.setdefault("HF_XET_CACHE", str(folder / "xet-cache"))
    with warnings.catch_warnings():  # it would rather be used in another way
        warnings.simplefilter("ignore", DeprecationWarning)
        before = upload("first")
        return upload("second") - before


def size_of(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())


# ---- the report ----


def report(position: str, case: Case, repeats: int) -> list[Verdict]:
    """Measure one case and print it."""
    times, sent = timed(case, repeats)
    whole = (case.folder / "second.safetensors").stat().st_size
    print(f"\n85 % of the layers shared ({position})\n")
    moved: list[tuple[str, int | None]] = [
        ("missing blocks", case.blocks_bytes),
        ("sent by the registry for a pull", sent),
        ("the whole model", whole),
        ("casync's chunks", casync_bytes(case.folder)),
        ("hf-xet's chunks", xet_bytes(case.folder)),
    ]
    rows = [
        [what, f"{size / 1e6:.3f}", f"{size / case.blocks_bytes:.4f}", f"{size / whole:.1%}"]
        for what, size in moved
        if size is not None
    ]
    print(table(["bytes", "MB", "of missing blocks", "of the whole"], rows))
    print()
    print_times(times)
    over = 100 * (sent / case.blocks_bytes - 1)
    found = [verdict("percent sent beyond the missing blocks", over, 1), *verdicts(times)]
    for one in found:
        print(one)
    limit = times[FLOOR].median / times[CURL].median
    print(f"(limit) {FLOOR}, over {CURL}: {limit:.2f}")
    return found


def report_over_link(repeats: int) -> None:
    """Measure over a shaped link, and print it; or why that cannot be done here."""
    position, names = "bottom", (OWN, CURL, ONE_BY_ONE, HTTPX, WHOLE)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="trunkline-bench-") as name,
            namespaces() as both,
            inside(both.client),
            docker_registry(Path(name), SERVER_HOST, both.inside_server()) as server,
        ):
            case = prepare(position, Path(name), server)
            for mbit in LINKS_MBIT:
                both.shape(mbit)
                print(f"\nthe same ({position}) over a link of {mbit} Mbit/s\n")
                times, sent = timed(case, repeats, names)
                print_times(times)
                for one in verdicts(times):
                    print(one)
                alone = 8 * sent / (mbit * 1e6)
                share = alone / times[OWN].median
                print(f"(limit) the link alone: {figure(1e3 * alone)} ms, {share:.2f} of a pull")
    except NamespacesMissing as error:
        print(f"\nnot measured over a link: {error}")


def print_times(times: dict[str, Times]) -> None:
    """A row for every way, the fastest first."""
    own = times[OWN].median
    lines = [
        [name, one.spread(), f"{own / one.median:.2f}"]
        for name, one in sorted(times.items(), key=lambda item: item[1].median)
    ]
    print(table(["ms: median (quartiles)", "time", "Store.pull / this"], lines), end="\n\n")


def verdicts(times: dict[str, Times]) -> list[Verdict]:
    """A pull beside its peers."""
    own = times[OWN].median
    return [
        verdict(f"{OWN} over {name}", own / times[name].median, 1.2)
        for name in (CURL, ONE_BY_ONE, HTTPX)
        if name in times
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 if too many bytes were moved."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pull", description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args(arguments)
    curl_version = subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout
    print(f"{' '.join(curl_version.split()[:2])}, urllib3 {urllib3.__version__}, ", end="")
    print(f"medians of {options.repeats}, in turn")
    right = True
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as name, ExitStack() as running:
        folder = Path(name)
        server = running.enter_context(docker_registry(folder))
        for position in ("bottom", "anywhere"):
            (folder / position).mkdir()
            case = prepare(position, folder / position, server)
            over, *_ = report(position, case, options.repeats)
            right &= over.reached
    report_over_link(options.repeats)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
