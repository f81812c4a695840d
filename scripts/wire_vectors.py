#!/usr/bin/env python3
"""Writes tests/vectors/wire.json and tests/vectors/transfers.json: golden bytes of lib/wire/SPEC.md.

Written from that page alone, with an XXH32 and a CBOR encoder of its own, so that it and the library
agree only if both follow the page. It needs nothing but Python 3; then the house's formatter:

    python3 scripts/wire_vectors.py && npx biome format --write tests/vectors
"""

import hashlib
import json
import pathlib
import struct
import zlib

from identity_vectors import LEAF_BYTES, leaf_digests, tensor_root

VECTORS = pathlib.Path(__file__).parent.parent / "tests" / "vectors"
LAST, QUERY = 1, 2
TYPES = {
    "hello": 0x01, "goodbye": 0x02, "ping": 0x03, "pong": 0x04, "error": 0x05,
    "request": 0x10, "offer": 0x11, "have": 0x12, "accept": 0x13, "chunk": 0x14, "digests": 0x15,
    "refetch": 0x16, "credit": 0x17, "ack": 0x18, "complete": 0x19, "receipt": 0x1A,
    "cancel": 0x1B, "phase": 0x1C, "list": 0x20, "listing": 0x21,
}  # fmt: skip
DTYPE_CODES = {"F32": 2, "BF16": 4, "U8": 14, "Q4_0": 32}


def xxh32(data: bytes, seed: int = 0) -> int:
    p1, p2, p3, p4, p5 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1
    mask = 0xFFFFFFFF

    def rotl(value: int, by: int) -> int:
        return ((value << by) | (value >> (32 - by))) & mask

    at = 0
    if len(data) >= 16:
        lanes = [(seed + p1 + p2) & mask, (seed + p2) & mask, seed, (seed - p1) & mask]
        while at + 16 <= len(data):
            for lane, word in enumerate(struct.unpack_from("<4I", data, at)):
                lanes[lane] = rotl((lanes[lane] + word * p2) & mask, 13) * p1 & mask
            at += 16
        value = sum(rotl(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18))) & mask
    else:
        value = (seed + p5) & mask
    value = (value + len(data)) & mask
    while at + 4 <= len(data):
        (word,) = struct.unpack_from("<I", data, at)
        value = rotl((value + word * p3) & mask, 17) * p4 & mask
        at += 4
    for byte in data[at:]:
        value = rotl((value + byte * p5) & mask, 11) * p1 & mask
    value = (value ^ (value >> 15)) * p2 & mask
    value = (value ^ (value >> 13)) * p3 & mask
    return value ^ (value >> 16)


def cbor(value: object) -> bytes:
    def head(major: int, count: int) -> bytes:
        if count < 24:
            return bytes([major << 5 | count])
        for info, code in ((24, ">B"), (25, ">H"), (26, ">I"), (27, ">Q")):
            if count < 1 << 8 * struct.calcsize(code):
                return bytes([major << 5 | info]) + struct.pack(code, count)
        raise ValueError(count)

    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    if isinstance(value, dict):
        return head(5, len(value)) + b"".join(cbor(k) + cbor(v) for k, v in value.items())
    raise TypeError(value)


def header(kind: int, flags: int, stream: int, payload_bytes: int) -> bytes:
    fields = struct.pack("<BBHII", kind, flags, 0, stream, payload_bytes)
    return fields + struct.pack("<I", xxh32(fields, 0x68647263))


def checked(kind: str, stream: int, body: bytes, flags: int = 0) -> bytes:
    payload = body + struct.pack("<I", xxh32(body))
    return header(TYPES[kind], flags, stream, len(payload)) + payload


def control(kind: str, stream: int, message: dict) -> bytes:
    return checked(kind, stream, cbor(message))


def chunk_front(stream: int, head: dict, data_bytes: int) -> bytes:
    fields = struct.pack(
        "<QIIIII", head["byteOffset"], head["rawBytes"], head["encodedBytes"],
        head["fragmentOffset"], head["checksum"], head["codec"],
    )  # fmt: skip
    fields += struct.pack("<I", xxh32(fields, 0x6368756E))
    return header(TYPES["chunk"], 0, stream, len(fields) + data_bytes) + fields


def deflate(data: bytes) -> bytes:
    encoder = zlib.compressobj(9, zlib.DEFLATED, -15)
    return encoder.compress(data) + encoder.flush()


def listing_entry(entry: dict) -> bytes:
    names = [entry["address"][part].encode() for part in ("model", "partition", "tensor")]
    descriptor, root = entry["descriptor"], entry.get("root", b"")
    shape, version = descriptor["shape"], entry["version"]
    return b"".join([
        bytes([1 if root else 0, DTYPE_CODES[descriptor["dtype"]], len(shape), len(version)]),
        struct.pack("<3H", *map(len, names)),
        struct.pack("<Q", descriptor["byteLength"]),
        struct.pack(f"<{len(shape)}Q", *shape),
        version, root, *names,
    ])  # fmt: skip


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
    "maxChunkBytes": 64 << 20,
}  # fmt: skip
OFFER = {
    "id": ID, "epoch": 0, "address": ADDRESS, "descriptor": LARGE, "version": VERSION,
    "priority": 50, "digest": "sha256", "codecs": ["deflate", "zstd"], "chunkBytes": 1 << 20,
}  # fmt: skip
REQUEST = {"id": ID, "epoch": 7, "address": UNICODE, "priority": 255, "digest": "none"}

CONTROL = [
    ("hello", 0, HELLO),
    ("hello", 0, {**HELLO, "features": ["f" * 64], "token": "s\u00e9same"}),
    ("goodbye", 0, {}),
    ("goodbye", 0, {"message": "closing"}),
    ("error", 0, {"code": "unauthorised", "retryable": False, "message": "A token is needed"}),
    ("error", 3, {"code": "limit", "retryable": True, "message": ""}),
    ("request", 1, REQUEST),
    ("request", 0xFFFFFFFF, {**REQUEST, "epoch": (1 << 53) - 1, "version": VERSION}),
    ("offer", 2, OFFER),
    ("offer", 5, {
        **OFFER, "descriptor": {"dtype": "BF16", "shape": [], "byteLength": 2}, "version": b"",
        "priority": 0, "digest": "none", "codecs": [], "chunkBytes": 1024,
    }),
    ("accept", 2, {"limit": 8 << 20}),
    ("accept", 2, {"limit": 1 << 33}),
    ("complete", 2, {"byteLength": 3 << 33, "version": VERSION, "root": DIGESTS[0]}),
    ("complete", 5, {"byteLength": 2, "version": b""}),
    ("receipt", 2, {"complete": True}),
    ("cancel", 2, {"code": "cancelled", "retryable": False, "message": "cancelled"}),
    ("phase", 2, {"phase": "verifying", "bytes": 5 << 32}),
    ("list", 7, {"pattern": {"model": "*", "partition": "a%2Fb", "tensor": "h.0.*"}, "roots": True}),
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
        return frame(kind, b"".join(struct.pack("<QI", *run) for run in runs), ranges=value)

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
        frame("ping", struct.pack("<Q", 0), stream=0, number=0),
        frame("pong", struct.pack("<Q", (1 << 53) - 1), stream=0, number=(1 << 53) - 1),
        frame("listing", pages, LAST, 7, entries=entries),
        frame("listing", b"", LAST, 7, entries=[]),
    ]


def chunk_frames() -> list[dict]:
    raw = bytes(n * n & 0xFF for n in range(300))
    small = deflate(bytes(5000))
    made = []
    for codec, at, data, raw_bytes, fragment in [
        (0, 0, raw, 300, 1000),
        (0, 5 << 33, raw, 300, 128),
        (1, 4096, small, 5000, 9),
    ]:
        checksum = xxh32(raw if codec == 0 else bytes(5000))
        frames = []
        for start in range(0, len(data), fragment):
            head = {
                "byteOffset": at, "rawBytes": raw_bytes, "encodedBytes": len(data),
                "fragmentOffset": start, "checksum": checksum, "codec": codec,
            }  # fmt: skip
            part = data[start : start + fragment]
            frames.append({"head": head, "hex": (chunk_front(9, head, len(part)) + part).hex()})
        made.append({"stream": 9, "data": data.hex(), "frames": frames})
    return made


def content(length: int) -> bytes:
    """Even leaves: byte i is the low byte of i xor (i >> 8) xor (i >> 16). Odd leaves: their number."""
    made = bytearray()
    for start in range(0, length, LEAF_BYTES):
        end, leaf = min(start + LEAF_BYTES, length), start // LEAF_BYTES
        if leaf % 2 == 1:
            made += bytes([leaf]) * (end - start)
        else:
            made += bytes((i ^ i >> 8 ^ i >> 16) & 0xFF for i in range(start, end))
    return bytes(made)


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
        {"lowest": low, "highest": high, "hex": (b"hdrc" + struct.pack("<HH", low, high)).hex()}
        for low, high in [(0, 0), (1, 0x203)]
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
        "chunks": chunk_frames(), "skippable": skippable.hex(),
    })  # fmt: skip
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
