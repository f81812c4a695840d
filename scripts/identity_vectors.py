#!/usr/bin/env python3
"""Writes tests/vectors/identity.json: golden values of the section "Identity" of lib/wire/SPEC.md.

Written from that section alone, with recursive definitions where the library has loops, so that
the two agree only if both follow it. It needs nothing but Python 3; then the house's formatter:

    python3 scripts/identity_vectors.py && npx biome format --write tests/vectors/identity.json
"""

import hashlib
import json
import pathlib
import struct

LEAF_BYTES = 1024 * 1024


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def top(digests: list[bytes]) -> bytes:
    if not digests:
        return sha(b"")
    if len(digests) == 1:
        return sha(b"\x00" + digests[0])
    left = 1 << ((len(digests) - 1).bit_length() - 1)
    return sha(b"\x01" + top(digests[:left]) + top(digests[left:]))


def proof(digests: list[bytes], first: int, end: int, at: int = 0) -> list[bytes]:
    """Tops of the largest subtrees, left to right, that hold no leaf of [first, end)."""
    if at + len(digests) <= first or end <= at:
        return [top(digests)]
    if first <= at and at + len(digests) <= end:
        return []
    left = 1 << ((len(digests) - 1).bit_length() - 1)
    return proof(digests[:left], first, end, at) + proof(digests[left:], first, end, at + left)


def leaf_digests(data: bytes) -> list[bytes]:
    return [sha(data[at : at + LEAF_BYTES]) for at in range(0, len(data), LEAF_BYTES)]


def tensor_root(dtype: str, shape: list[int], byte_length: int, digests: list[bytes]) -> bytes:
    name = dtype.encode("ascii")
    dimensions = b"".join(struct.pack("<Q", dimension) for dimension in shape)
    head = b"\x02" + struct.pack("<B", len(name)) + name + struct.pack("<B", len(shape))
    return sha(head + dimensions + struct.pack("<Q", byte_length) + top(digests))


def named(name: str) -> bytes:
    text = name.encode("utf-8")
    return struct.pack("<H", len(text)) + text


def entries_top(entries: list[tuple[str, bytes]]) -> bytes:
    return top([sha(named(name) + root) for name, root in entries])


def partition_root(name: str, entries: list[tuple[str, bytes]]) -> bytes:
    if name == "__files__":
        entries = sorted(entries, key=lambda entry: entry[0].encode("utf-8"))
    return sha(b"\x03" + named(name) + struct.pack("<I", len(entries)) + entries_top(entries))


def model_root(entries: list[tuple[str, bytes]]) -> bytes:
    entries = sorted(entries, key=lambda entry: entry[0].encode("utf-8"))
    return sha(b"\x04" + struct.pack("<I", len(entries)) + entries_top(entries))


def pattern(length: int) -> bytes:
    """Byte i is the low byte of i xor (i >> 8) xor (i >> 16): no two leaves are equal."""
    return bytes((i ^ (i >> 8) ^ (i >> 16)) & 0xFF for i in range(length))


def counted(total: int) -> list[bytes]:
    """Stand-ins for leaf digests: digest i is the SHA-256 of i as u32le."""
    return [sha(struct.pack("<I", i)) for i in range(total)]


def as_json(entries: list[tuple[str, bytes]]) -> list[dict[str, str]]:
    return [{"name": name, "root": root.hex()} for name, root in entries]


def main() -> None:
    tensors = []
    for dtype, shape, length in [
        ("F32", [], 4),
        ("I64", [0, 7], 0),
        ("BF16", [3, 5], 30),
        ("Q4_0", [4, 64], 4 * 2 * 18),
        ("U8", [LEAF_BYTES], LEAF_BYTES),
        ("F8_E4M3", [LEAF_BYTES + 1], LEAF_BYTES + 1),
        ("F16", [3, LEAF_BYTES // 2 + 1], 3 * LEAF_BYTES + 6),
    ]:
        digests = leaf_digests(pattern(length))
        tensors.append(
            {
                "dtype": dtype,
                "shape": shape,
                "byteLength": length,
                "leafDigests": [digest.hex() for digest in digests],
                "root": tensor_root(dtype, shape, length, digests).hex(),
            }
        )
    # A size past 2^32; a root needs the digests, not the bytes.
    digests = counted(5000)
    length = 5000 * LEAF_BYTES - 4
    huge = {
        "dtype": "F32",
        "shape": [length // 4],
        "byteLength": length,
        "root": tensor_root("F32", [length // 4], length, digests).hex(),
    }

    proofs = []
    for total, first, count in [(1, 0, 1), (2, 1, 1), (7, 2, 3), (7, 0, 7), (20, 0, 1), (20, 9, 10)]:
        proofs.append(
            {
                "leafTotal": total,
                "first": first,
                "count": count,
                "root": tensor_root("U8", [total * LEAF_BYTES], total * LEAF_BYTES, counted(total)).hex(),
                "proof": b"".join(proof(counted(total), first, first + count)).hex(),
            }
        )

    roots = [sha(bytes([i])) for i in range(6)]
    # Sorted by UTF-16 units, U+1F600 would come before U+FF5E; by UTF-8 bytes it comes after.
    file_entries = [("__metadata__", roots[0]), ("wte.weight", roots[1]), ("a", roots[2])]
    side_entries = [("\U0001f600.json", roots[3]), ("config.json", roots[4]), ("\uff5e.json", roots[5])]
    partitions = []
    for name, entries in [
        ("model-00001-of-00002", file_entries),
        ("default", []),
        ("__files__", side_entries),
        ("\u00e9/*%", file_entries[:1]),
    ]:
        partitions.append(
            {"name": name, "tensors": as_json(entries), "root": partition_root(name, entries).hex()}
        )
    model_entries = [(each["name"], bytes.fromhex(each["root"])) for each in partitions]

    vectors = {
        "tops": [top(counted(total)).hex() for total in range(34)],
        "tensors": tensors,
        "huge": huge,
        "proofs": proofs,
        "partitions": partitions,
        "model": model_root(model_entries).hex(),
        "emptyModel": model_root([]).hex(),
    }
    path = pathlib.Path(__file__).parent.parent / "tests" / "vectors" / "identity.json"
    path.write_text(json.dumps(vectors, indent=2) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
