#!/usr/bin/env python3
"""Writes wire.json, transfers.json and transcripts.json in tests/vectors: golden bytes of lib/wire/SPEC.md.

Written from that page alone, with an XXH32 and a CBOR encoder of its own, so that it and the library
agree only if both follow the page. It needs nothing but Python 3; then the house's formatter:

    python3 scripts/wire_vectors.py && npx biome format --write tests/vectors
"""

import hashlib
import json
import pathlib
import struct

from identity_vectors import LEAF_BYTES, leaf_digests, proof, tensor_root
from wire_bytes import (
    AGAIN, LAST, QUERY, checked, chunk_front, content, control, deflate, leaf_runs, listing_entry,
    preamble, request_list, stream_runs, tensor_frame, xxh32,
)  # fmt: skip
from wire_transcripts import transcripts

VECTORS = pathlib.Path(__file__).parent.parent / "tests" / "vectors"


def as_json(value: object) -> object:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, list) else value


ID = bytes(range(16))
VERSION = bytes(range(0xE0, 0x100))
ADDRESS = {"model": "gpt2", "partition": "model-00001-of-00002", "tensor": "wte.weight"}
UNICODE = {"model": "m\u00f6del", "partition": "default", "tensor": "\u5c42/\U0001f600 0"}
# Bytes, offsets and limits past 2^32.
LARGE = {"dtype": "F32", "shape": [3, 1 << 31], "byteLength": 3 << 33}
DIGESTS = [hashlib.sha256(bytes([n])).digest() for n in range(3)]

HELLO = {
    "instance": ID, "node": "n1", "role": "mixed", "codecs": ["deflate"], "features": [],
    "maxChunkBytes": 64 << 20, "connectionCredit": 64 << 20, "maxTransfers": 1024,
    "maxRequests": 4096,
}  # fmt: skip
OFFER = {
    "id": ID, "epoch": 0, "address": ADDRESS, "descriptor": LARGE, "version": VERSION,
    "priority": 50, "digest": "sha256", "codecs": ["deflate", "zstd"], "chunkBytes": 1 << 20,
}  # fmt: skip
REQUEST = {"id": ID, "epoch": 7, "address": UNICODE, "priority": 255, "digest": "none"}

CONTROL = [
    ("hello", 0, HELLO),
    ("hello", 0, {
        **HELLO, "features": ["f" * 64], "connectionCredit": 1 << 40, "laneKey": ID[::-1],
        "maxLanes": 4, "token": "s\u00e9same",
    }),
    ("goodbye", 0, {}),
    ("goodbye", 0, {"message": "closing"}),
    ("error", 0, {"code": "unauthorised", "retryable": False, "message": "A token is needed"}),
    ("error", 3, {"code": "limit", "retryable": True, "message": ""}),
    ("request", 1, REQUEST),
    ("request", 0xFFFFFFFF, {**REQUEST, "epoch": (1 << 53) - 1, "version": VERSION}),
    ("request", 3, {**REQUEST, "bytes": [1 << 32, (1 << 32) + 1]}),
    ("request", 3, {**REQUEST, "version": b"", "rows": [0, 23]}),
    ("offer", 2, OFFER),
    ("offer", 2, {**OFFER, "open": True}),
    ("offer", 2, {**OFFER, "root": DIGESTS[1]}),
    ("offer", 5, {
        **OFFER, "descriptor": {"dtype": "BF16", "shape": [], "byteLength": 2}, "version": b"",
        "priority": 0, "digest": "none", "codecs": [], "chunkBytes": 1024,
    }),
    ("accept", 2, {"limit": 8 << 20}),
    ("accept", 2, {"limit": 1 << 33}),
    ("complete", 2, {"byteLength": 3 << 33, "version": VERSION, "root": DIGESTS[0], "chunks": 24577}),
    ("complete", 5, {"byteLength": 2, "version": b"", "chunks": 1}),
    ("receipt", 2, {"complete": True}),
    ("receipt", 2, {"complete": False}),
    ("cancel", 2, {"code": "cancelled", "retryable": False, "message": "cancelled"}),
    ("phase", 2, {"phase": "verifying", "bytes": 5 << 32}),
    ("list", 7, {"pattern": {"model": "*", "partition": "a%2Fb", "tensor": "h.0.*"}, "roots": True}),
    ("reprioritise", 2, {"priority": 200}),
    ("pause", 2, {"paused": True}),
    ("pause", 2, {"paused": False}),
    ("extent", 2, {"descriptor": {"dtype": "F32", "shape": [0, 1 << 31], "byteLength": 0}}),
    ("lane", 0, {"lane": 3, "key": ID[::-1]}),
    ("subscribe", 9, {
        "pattern": {"model": "*", "partition": "default", "tensor": "h.*"}, "initial": True,
    }),
    ("notify", 9, {
        "kind": "here", "change": 1, "address": UNICODE, "descriptor": LARGE, "version": VERSION,
    }),
    ("notify", 9, {
        "kind": "changed", "change": 1 << 32, "address": ADDRESS,
        "descriptor": {"dtype": "U8", "shape": [0], "byteLength": 0}, "version": b"",
    }),
    ("notify", 9, {"kind": "gone", "change": (1 << 53) - 1, "address": ADDRESS}),
    ("unsubscribe", 9, {}),
]  # fmt: skip


def binary_frames() -> list[dict]:
    def frame(kind: str, body: bytes, flags: int = 0, stream: int = 2, **value: object) -> dict:
        made = checked(kind, stream, body, flags)
        return {"kind": kind, "flags": flags, "stream": stream, "value": value, "hex": made.hex()}

    def bitmap(flags: int, first: int, bits: bytes) -> dict:
        return frame("have", struct.pack("<Q", first) + bits, flags, firstLeaf=first, bits=bits)

    def digests(flags: int, first: int, found: list[bytes]) -> dict:
        body = struct.pack("<Q", first) + b"".join(found)
        return frame("digests", body, flags, firstLeaf=first, digests=found)

    def ranges(kind: str, *runs: tuple[int, int]) -> dict:
        value = [{"first": first, "count": count} for first, count in runs]
        return frame(kind, leaf_runs(*runs), ranges=value)

    def requests(digest: str, priority: int, *addresses: dict) -> dict:
        body = request_list(digest, priority, list(addresses))
        return frame("requests", body, digest=digest, priority=priority, addresses=list(addresses))

    def receipts(*runs: tuple[int, int]) -> dict:
        value = [{"first": first, "count": count} for first, count in runs]
        return frame("receipts", stream_runs(*runs), stream=0, runs=value)

    def proven(leaf_total: int, first: int, count: int) -> dict:
        leaves = [hashlib.sha256(bytes([n])).digest() for n in range(leaf_total)]
        hashes = proof(leaves, first, first + count)
        body = struct.pack("<QI", first, count) + b"".join(hashes)
        return frame("proof", body, first=first, count=count, hashes=b"".join(hashes))

    entries = [
        {"address": UNICODE, "descriptor": LARGE, "version": VERSION, "root": DIGESTS[1]},
        {
            "address": ADDRESS, "version": b"",
            "descriptor": {"dtype": "Q4_0", "shape": [4, 64], "byteLength": 144},
        },
        {
            "address": {**ADDRESS, "tensor": "__metadata__"}, "version": b"v",
            "descriptor": {"dtype": "U8", "shape": [], "byteLength": 1},
        },
    ]  # fmt: skip
    pages = b"".join(map(listing_entry, entries))
    return [
        bitmap(LAST, 0, b"\x05\x80"),
        bitmap(0, 1 << 36, b"\xff"),
        bitmap(LAST | QUERY, 8, b"\x01\x00\x03"),
        digests(0, 0, DIGESTS[:1]),
        digests(0, (1 << 33) + 1, DIGESTS),
        digests(LAST | QUERY, 0, []),
        ranges("refetch", (0, 1), (1 << 33, 0xFFFFFFFF)),
        ranges("ack", (3, 4)),
        frame("credit", struct.pack("<Q", 9 << 40), number=9 << 40),
        frame("credit", struct.pack("<Q", (1 << 53) - 1), stream=0, number=(1 << 53) - 1),
        frame("ping", struct.pack("<Q", 0), stream=0, number=0),
        frame("pong", struct.pack("<Q", (1 << 53) - 1), stream=0, number=(1 << 53) - 1),
        frame("listing", pages, LAST, 7, entries=entries),
        frame("listing", b"", LAST, 7, entries=[]),
        requests("sha256", 100, ADDRESS),
        requests(
            "none", 0, ADDRESS, {**ADDRESS, "tensor": "wpe.weight"}, UNICODE, ADDRESS,
            {**ADDRESS, "tensor": "t" * 300}, {**ADDRESS, "model": "other"},
        ),
        receipts((1, 1)),
        receipts((0xFFFFFFFD, 2), (2, 1000)),
        proven(7, 2, 3),
        proven(1, 0, 1),
    ]


def chunk_frames() -> list[dict]:
    raw = bytes(n * n & 0xFF for n in range(300))
    small = deflate(bytes(5000))
    made = []
    for flags, codec, at, data, raw_bytes, fragment in [
        (0, 0, 0, raw, 300, 1000),
        (0, 0, 5 << 33, raw, 300, 128),
        (0, 1, 4096, small, 5000, 9),
        (AGAIN, 1, 4096, small, 5000, 20),
    ]:
        checksum = xxh32(raw if codec == 0 else bytes(5000))
        frames = []
        for start in range(0, len(data), fragment):
            head = {
                "byteOffset": at, "rawBytes": raw_bytes, "encodedBytes": len(data),
                "fragmentOffset": start, "checksum": checksum, "codec": codec,
            }  # fmt: skip
            part = data[start : start + fragment]
            front = chunk_front(9, head, len(part), flags)
            frames.append({"head": head, "hex": (front + part).hex()})
        made.append({"stream": 9, "flags": flags, "data": data.hex(), "frames": frames})
    return made


def tensor_frames() -> list[dict]:
    raw = bytes(n * n & 0xFF for n in range(300))
    zeros = bytes(65_536)
    push = {"id": ID, "epoch": (1 << 53) - 1, "priority": 255, "address": UNICODE}
    long = {part: part[0] * 300 for part in ADDRESS}
    made = []
    for codec, dtype, shape, bytes_, more in [
        (0, "F32", [], raw[:4], {"version": b""}),
        (0, "U8", [3, 0], b"", {"version": VERSION}),
        (0, "BF16", [15, 10], raw, {"version": b"v", "digest": hashlib.sha256(raw).digest()}),
        (1, "U8", [65_536], zeros, {"version": b"v", "digest": hashlib.sha256(zeros).digest()}),
        (0, "Q4_0", [2, 32], raw[:36], {"version": VERSION, "push": push}),
        (2, "F32", [1] * 31 + [16_384], zeros, {
            "version": VERSION, "digest": hashlib.sha256(zeros).digest(),
            "push": {**push, "epoch": 0, "priority": 0, "address": long},
        }),
    ]:
        tensor = {
            "descriptor": {"dtype": dtype, "shape": shape, "byteLength": len(bytes_)}, **more,
            "checksum": 0 if "digest" in more else xxh32(bytes_),
            "codec": codec, "data": deflate(bytes_) if codec else bytes_,
        }  # fmt: skip
        made.append({"stream": 2, "tensor": tensor, "hex": tensor_frame(2, tensor).hex()})
    return made


def chunk_end(at: int, chunk_bytes: int, length: int) -> int:
    if chunk_bytes >= LEAF_BYTES:
        whole = chunk_bytes // LEAF_BYTES * LEAF_BYTES
        return min(at // whole * whole + whole, length)
    leaf = at // LEAF_BYTES * LEAF_BYTES
    within = at - leaf
    return min(leaf + within // chunk_bytes * chunk_bytes + chunk_bytes, leaf + LEAF_BYTES, length)


def transfer(
    length: int, chunk_bytes: int, fragment_bytes: int, digest: str, ratio: int = 50
) -> dict:
    """A whole transfer, a list of parts a frame: hex, or a run of the tensor's own bytes."""
    data, stream = content(length), 1
    digests = leaf_digests(data)
    descriptor = {"dtype": "U8", "shape": [length], "byteLength": length}
    offer = {
        **OFFER, "descriptor": descriptor, "digest": digest, "codecs": ["deflate"],
        "chunkBytes": max(1024, chunk_end(0, chunk_bytes, length) if length else 0),
    }  # fmt: skip
    frames: list[list] = [[control("offer", stream, offer).hex()]]
    chunks, at = [], 0
    while at < length:
        end = chunk_end(at, chunk_bytes, length)
        raw = data[at:end]
        packed = deflate(raw)
        is_smaller = len(packed) < len(raw) // ratio
        bytes_, codec = (packed, 1) if is_smaller else (raw, 0)
        ended = []
        if digest == "sha256":
            ended = [
                leaf for leaf, _ in enumerate(digests)
                if at < min((leaf + 1) * LEAF_BYTES, length) <= end
            ]  # fmt: skip
        for leaf in ended:
            frames.append([checked("digests", stream, struct.pack("<Q", leaf) + digests[leaf]).hex()])
        head = {
            "byteOffset": at, "rawBytes": len(raw), "encodedBytes": len(bytes_),
            "fragmentOffset": 0, "checksum": xxh32(raw), "codec": codec,
        }  # fmt: skip
        for start in range(0, len(bytes_), fragment_bytes):
            part = bytes_[start : start + fragment_bytes]
            front = chunk_front(stream, {**head, "fragmentOffset": start}, len(part)).hex()
            frames.append([front, part.hex()] if codec else [front, [at + start, len(part)]])
        chunks.append({
            "byteOffset": at, "rawBytes": len(raw), "checksum": head["checksum"],
            "codec": codec, "leaves": ended,
        })  # fmt: skip
        at = end
    complete: dict = {"byteLength": length, "version": VERSION}
    if digest == "sha256":
        complete["root"] = tensor_root("U8", [length], length, digests)
    complete["chunks"] = len(chunks)
    frames.append([control("complete", stream, complete).hex()])
    whole = hashlib.sha256()
    for parts in frames:
        for part in parts:
            whole.update(bytes.fromhex(part) if isinstance(part, str) else data[part[0] : sum(part)])
    return {
        "byteLength": length, "fragmentBytes": fragment_bytes, "digest": digest,
        "leafDigests": [each.hex() for each in digests], "chunks": chunks, "frames": frames,
        "sha256": whole.hexdigest(),
    }  # fmt: skip


def write(name: str, vectors: object) -> None:
    text = json.dumps(as_json(vectors), indent=1)
    (VECTORS / name).write_text(text + "\n", encoding="ascii")


def main() -> None:
    preambles = [
        {"lowest": low, "highest": high, "hex": preamble(low, high).hex()}
        for low, high in [(0, 0), (1, 1), (1, 0x203)]
    ]
    messages = [
        {"kind": kind, "stream": stream, "message": message, "hex": control(kind, stream, message).hex()}
        for kind, stream, message in CONTROL
    ]
    # A type that may be skipped, with flags and reserved bits that nobody knows.
    fields = struct.pack("<BBHII", 0x80, 0xFF, 0xFFFF, 0, 3)
    skippable = fields + struct.pack("<I", xxh32(fields, 0x68647263)) + b"\x01\x02\x03"
    write("wire.json", {
        "preambles": preambles, "control": messages, "binary": binary_frames(),
        "chunks": chunk_frames(), "tensors": tensor_frames(), "skippable": skippable.hex(),
    })  # fmt: skip
    write("transcripts.json", transcripts())
    write("transfers.json", {
        "id": ID, "version": VERSION, "address": ADDRESS,
        "transfers": [
            transfer(2 * LEAF_BYTES + 5000, 300_000, 65_536, "sha256"),
            transfer(5 * LEAF_BYTES + 100, 5 * LEAF_BYTES // 2, 1 << 20, "sha256"),
            transfer(3000, 1024, 1000, "none"),
            transfer(0, 1024, 1000, "sha256"),
            transfer(3000, 1024, 700, "sha256"),
            # Small enough for every single bit of it to be turned.
            transfer(700, 1024, 100, "sha256", 1),
        ],
    })  # fmt: skip


if __name__ == "__main__":
    main()
