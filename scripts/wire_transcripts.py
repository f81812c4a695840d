"""Transcripts of whole connections for tests/vectors/transcripts.json, from lib/wire/SPEC.md alone."""

import struct
from collections.abc import Callable

from identity_vectors import LEAF_BYTES, leaf_digests, tensor_root
from wire_bytes import (
    LAST, checked, chunk_front, content, control, leaf_runs, preamble, stream_runs, tensor_frame,
    xxh32,
)  # fmt: skip

Part = str | list[int]
Step = dict[str, object]

ADDRESS = {"model": "gpt2", "partition": "default", "tensor": "wte.weight"}
ID = bytes(range(0x40, 0x50))
VERSION = b"one"
CHUNK_BYTES = 32_768
FRAGMENT_BYTES = 65_536
LIMITS = {
    "maxChunkBytes": 64 << 20, "connectionCredit": 64 << 20, "maxTransfers": 1024,
    "maxRequests": 4096,
}  # fmt: skip


class Connection:
    """The steps of one connection, in an order in which both ends may see them."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        for end, first in ("dialler", 0x10), ("accepter", 0x20):
            self.say(end, preamble(1, 1))
            self.say(end, control("hello", 0, {
                "instance": bytes(range(first, first + 16)), "node": end, "role": "mixed",
                "codecs": [], "features": [], **LIMITS,
            }))  # fmt: skip

    def say(self, end: str, *parts: bytes | list[int]) -> None:
        written = [part.hex() if isinstance(part, bytes) else part for part in parts]
        self.steps.append({"from": end, "parts": written})


class Tensor:
    """A golden tensor that is sent with digests, uncompressed, each leaf's digest before its chunks."""

    def __init__(self, length: int, version: bytes = VERSION) -> None:
        self.data, self.length, self.version = content(length), length, version
        self.digests = leaf_digests(self.data)
        self.descriptor = {"dtype": "U8", "shape": [length], "byteLength": length}
        self.chunks = 0

    def request(self, epoch: int = 0) -> bytes:
        return control("request", 1, {
            "id": ID, "epoch": epoch, "address": ADDRESS, "priority": 50, "digest": "sha256",
        })  # fmt: skip

    def offer(self, epoch: int = 0) -> bytes:
        return control("offer", 1, {
            "id": ID, "epoch": epoch, "address": ADDRESS, "descriptor": self.descriptor,
            "version": self.version, "priority": 50, "digest": "sha256", "codecs": [],
            "chunkBytes": CHUNK_BYTES,
        })  # fmt: skip

    def accept(self) -> bytes:
        return control("accept", 1, {"limit": self.length})

    def send_leaf(self, say: Callable[..., None], leaf: int) -> None:
        digest = struct.pack("<Q", leaf) + self.digests[leaf]
        say(checked("digests", 1, digest))
        end = min((leaf + 1) * LEAF_BYTES, self.length)
        for at in range(leaf * LEAF_BYTES, end, CHUNK_BYTES):
            raw = min(CHUNK_BYTES, end - at)
            for start in range(0, raw, FRAGMENT_BYTES):
                part = min(FRAGMENT_BYTES, raw - start)
                head = {
                    "byteOffset": at, "rawBytes": raw, "encodedBytes": raw,
                    "fragmentOffset": start, "checksum": xxh32(self.data[at : at + raw]),
                    "codec": 0,
                }  # fmt: skip
                say(chunk_front(1, head, part), [at + start, part])
            self.chunks += 1

    def acknowledge(self, first: int, count: int) -> bytes:
        return checked("ack", 1, leaf_runs((first, count)))

    def complete(self) -> bytes:
        root = tensor_root("U8", [self.length], self.length, self.digests)
        return control("complete", 1, {
            "byteLength": self.length, "version": self.version, "root": root,
            "chunks": self.chunks,
        })  # fmt: skip

    def in_one_frame(self) -> bytes:
        return tensor_frame(1, {
            "descriptor": self.descriptor, "version": self.version, "digest": self.digests[0],
            "checksum": 0, "codec": 0, "data": self.data,
        })  # fmt: skip


def pull() -> list[Connection]:
    link, tensor = Connection(), Tensor(70_000)
    link.say("dialler", tensor.request())
    link.say("accepter", tensor.offer())
    link.say("dialler", tensor.accept())
    tensor.send_leaf(lambda *parts: link.say("accepter", *parts), 0)
    link.say("accepter", tensor.complete())
    link.say("dialler", tensor.acknowledge(0, 1))
    link.say("dialler", control("receipt", 1, {"complete": True}))
    link.say("dialler", control("goodbye", 0, {}))
    return [link]


def small_pull() -> list[Connection]:
    link, tensor = Connection(), Tensor(300)
    link.say("dialler", tensor.request())
    link.say("accepter", tensor.in_one_frame())
    link.say("dialler", checked("receipts", 0, stream_runs((1, 1))))
    link.say("dialler", control("goodbye", 0, {}))
    return [link]


def resumed_pull() -> list[Connection]:
    """Two leaves are safe when the first connection is lost; one page says so on the second."""
    tensor = Tensor(2 * LEAF_BYTES + 3000)
    first, second = Connection(), Connection()
    first.say("dialler", tensor.request())
    first.say("accepter", tensor.offer())
    first.say("dialler", tensor.accept())
    for leaf in 0, 1:
        tensor.send_leaf(lambda *parts: first.say("accepter", *parts), leaf)
    first.say("dialler", tensor.acknowledge(0, 2))
    tensor.chunks = 0
    second.say("dialler", tensor.request(1))
    second.say("accepter", tensor.offer(1))
    second.say("dialler", checked("have", 1, struct.pack("<Q", 0) + b"\x03", LAST))
    second.say("dialler", tensor.accept())
    tensor.send_leaf(lambda *parts: second.say("accepter", *parts), 2)
    second.say("accepter", tensor.complete())
    second.say("dialler", tensor.acknowledge(2, 1))
    second.say("dialler", control("receipt", 1, {"complete": True}))
    second.say("dialler", control("goodbye", 0, {}))
    return [first, second]


def cancelled_push() -> list[Connection]:
    """The sender has sent the first of two leaves when it cancels."""
    link, tensor = Connection(), Tensor(LEAF_BYTES + 3000)
    link.say("dialler", tensor.offer())
    link.say("accepter", tensor.accept())
    tensor.send_leaf(lambda *parts: link.say("dialler", *parts), 0)
    fault = {"code": "cancelled", "retryable": False, "message": "cancelled"}
    link.say("dialler", control("cancel", 1, fault))
    link.say("dialler", control("goodbye", 0, {}))
    return [link]


def subscription() -> list[Connection]:
    link = Connection()
    pattern = {"model": "gpt2", "partition": "*", "tensor": "*"}
    link.say("dialler", control("subscribe", 1, {"pattern": pattern, "initial": True}))

    def notify(kind: str, change: int, **more: object) -> None:
        message = {"kind": kind, "change": change, "address": ADDRESS, **more}
        link.say("accepter", control("notify", 1, message))

    notify("here", 1, descriptor=Tensor(300).descriptor, version=b"one")
    link.say("accepter", control("receipt", 1, {"complete": True}))
    notify("changed", 2, descriptor=Tensor(400).descriptor, version=b"two")
    notify("gone", 3)
    link.say("dialler", control("unsubscribe", 1, {}))
    link.say("dialler", control("goodbye", 0, {}))
    return [link]


def transcripts() -> dict:
    made = [pull, small_pull, resumed_pull, cancelled_push, subscription]
    return {
        "id": ID, "address": ADDRESS, "version": VERSION, "chunkBytes": CHUNK_BYTES,
        "transcripts": {
            each.__name__: [connection.steps for connection in each()] for each in made
        },
    }  # fmt: skip
