"""The bytes of lib/wire/SPEC.md: frames, made from that page alone, with an XXH32 and a CBOR encoder of
their own. For the scripts that write golden vectors; it needs nothing but Python 3."""

import struct
import zlib

from identity_vectors import LEAF_BYTES

LAST, QUERY, AGAIN = 1, 2, 4
TYPES = {
    "hello": 0x01, "goodbye": 0x02, "ping": 0x03, "pong": 0x04, "error": 0x05,
    "request": 0x10, "offer": 0x11, "have": 0x12, "accept": 0x13, "chunk": 0x14, "digests": 0x15,
    "refetch": 0x16, "credit": 0x17, "ack": 0x18, "complete": 0x19, "receipt": 0x1A,
    "cancel": 0x1B, "phase": 0x1C, "reprioritise": 0x1D, "pause": 0x1E, "tensor": 0x1F,
    "list": 0x20, "listing": 0x21, "subscribe": 0x22, "notify": 0x23, "unsubscribe": 0x24,
    "extent": 0x25, "proof": 0x26, "requests": 0x27, "receipts": 0x28, "lane": 0x30,
}  # fmt: skip
DTYPE_CODES = {"F32": 2, "BF16": 4, "U8": 14, "Q4_0": 32, "Q6_K": 41}
DIGEST_MODES = {"none": 0, "sha256": 1}


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


def preamble(lowest: int, highest: int) -> bytes:
    return b"hdrc" + struct.pack("<HH", lowest, highest)


def chunk_front(stream: int, head: dict, data_bytes: int, flags: int = 0) -> bytes:
    fields = struct.pack(
        "<QIIIII", head["byteOffset"], head["rawBytes"], head["encodedBytes"],
        head["fragmentOffset"], head["checksum"], head["codec"],
    )  # fmt: skip
    fields += struct.pack("<I", xxh32(fields, 0x6368756E))
    return header(TYPES["chunk"], flags, stream, len(fields) + data_bytes) + fields


def deflate(data: bytes) -> bytes:
    encoder = zlib.compressobj(9, zlib.DEFLATED, -15)
    return encoder.compress(data) + encoder.flush()


def name_bytes(address: dict) -> list[bytes]:
    return [address[part].encode() for part in ("model", "partition", "tensor")]


def tensor_frame(stream: int, tensor: dict) -> bytes:
    """`checksum` is of the bytes before compression, or 0 beside a digest; `data` is what travels."""
    descriptor, version = tensor["descriptor"], tensor["version"]
    shape, digest, push = descriptor["shape"], tensor.get("digest", b""), tensor.get("push")
    behind = struct.pack(f"<{len(shape)}Q", *shape) + version + digest
    if push:
        names = name_bytes(push["address"])
        behind += push["id"] + struct.pack("<QB", push["epoch"], push["priority"])
        behind += struct.pack("<3H", *map(len, names)) + b"".join(names)
    bits = (1 if digest else 0) | (2 if push else 0)
    front = bytes([DTYPE_CODES[descriptor["dtype"]], len(shape), len(version), bits])
    front += struct.pack(
        "<5I", 24 + len(behind) + 4, descriptor["byteLength"], len(tensor["data"]),
        tensor["checksum"], tensor["codec"],
    )  # fmt: skip
    head = front + behind
    payload = head + struct.pack("<I", xxh32(head, 0x74656E73)) + tensor["data"]
    return header(TYPES["tensor"], 0, stream, len(payload)) + payload


def request_list(digest: str, priority: int, addresses: list[dict]) -> bytes:
    made, before = struct.pack("<BBH", DIGEST_MODES[digest], priority, len(addresses)), None
    for address in addresses:
        model, partition, tensor = name_bytes(address)
        if before == (model, partition):
            made += struct.pack("<2H", 0xFFFF, len(tensor)) + tensor
        else:
            made += struct.pack("<3H", len(model), len(partition), len(tensor))
            made += model + partition + tensor
        before = (model, partition)
    return made


def leaf_runs(*runs: tuple[int, int]) -> bytes:
    return b"".join(struct.pack("<QI", *run) for run in runs)


def stream_runs(*runs: tuple[int, int]) -> bytes:
    return b"".join(struct.pack("<II", *run) for run in runs)


def listing_entry(entry: dict) -> bytes:
    names = name_bytes(entry["address"])
    descriptor, root = entry["descriptor"], entry.get("root", b"")
    shape, version = descriptor["shape"], entry["version"]
    return b"".join([
        bytes([1 if root else 0, DTYPE_CODES[descriptor["dtype"]], len(shape), len(version)]),
        struct.pack("<3H", *map(len, names)),
        struct.pack("<Q", descriptor["byteLength"]),
        struct.pack(f"<{len(shape)}Q", *shape),
        version, root, *names,
    ])  # fmt: skip


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
