import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "chai";
import { AcceptStore } from "../../lib/cli/accept_store.ts";
import {
  encodeManifest,
  MAX_MANIFEST_BYTES,
  manifestAddress,
} from "../../lib/cli/push_manifest.ts";
import {
  HeadraceError,
  IntegrityError,
  LimitError,
  NotFoundError,
  StorageError,
  UnauthorisedError,
} from "../../lib/errors.ts";
import { encodeHeader } from "../../lib/formats/safetensors/encode_header.ts";
import { ByteSource } from "../../lib/session/byte_source.ts";
import type { TensorPeer } from "../../lib/session/peer.ts";
import {
  HEADER_TENSOR,
  SIDE_FILES_PARTITION,
  type TensorAddress,
} from "../../lib/tensor/address.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import { DigestCache } from "../../lib/tensor/digest_cache.ts";
import type { SinkStore } from "../../lib/tensor/sink.ts";
import type { ListingEntry } from "../../lib/wire/listing.ts";
import { bytesOf, V1, V2, writeLeaf } from "../checkpoint/staging_fixture.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { assertSameFiles, dialling, makeModel, pushFrom, withAccepting } from "./push_fixture.ts";

const once = { retry: { maxRetries: 0 } };

/** One line of a manifest: bytes of this length. */
function entry(partition: string, tensor: string, bytes: number, model = "m"): ListingEntry {
  const descriptor = createDescriptor("U8", [bytes]);
  return { address: { model, partition, tensor }, descriptor, version: V1 };
}

function send(peer: TensorPeer, address: ListingEntry["address"], bytes: Uint8Array, version = V1) {
  const source = new ByteSource(bytes, { dtype: "U8", shape: [bytes.byteLength] }, version);
  return peer.streamTensor(address, source).done;
}

const sendManifest = (peer: TensorPeer, entries: readonly ListingEntry[], model = "m") =>
  send(peer, manifestAddress(model), encodeManifest(entries));

/** A header for the tensors a and b, and the manifest of its partition `p`. */
function smallModel() {
  const descriptor = createDescriptor("U8", [50]);
  const { raw } = encodeHeader(["a", "b"].map((name) => ({ name, descriptor })));
  const header = entry("p", HEADER_TENSOR, raw.byteLength);
  return { raw, header, manifest: [header, entry("p", "a", 50), entry("p", "b", 50)] };
}

export const acceptStoreSuite: Suite = ({ test }) => {
  test("accepting pushes: a manifest that cannot be is refused, leaves nothing, and harms no other push", () =>
    withTempFolder(async (folder) => {
      const target = join(folder, "in");
      const long = "n".repeat(300);
      const huge = { ...entry("p", "a", 0), descriptor: createDescriptor("U8", [2 ** 53 - 1]) };
      const header = entry("p", HEADER_TENSOR, 10);
      const attacks: readonly (readonly [string, readonly ListingEntry[], RegExp, string?])[] = [
        ["nothing", [], /empty/],
        ["a tensor twice", [header, header], /twice/],
        ["no header", [entry("p", "a", 1)], /no header for p/],
        ["another model", [entry("p", HEADER_TENSOR, 10, "other")], /another model's/],
        ["itself", [entry(SIDE_FILES_PARTITION, "__manifest__", 1)], /no run of bytes/],
        [
          "two files of one name",
          [header, entry(SIDE_FILES_PARTITION, "p.safetensors", 1)],
          /one name/,
        ],
        ["2^53 bytes", [header, huge], /at most/],
        ["much in headers", [entry("p", HEADER_TENSOR, 2 ** 27)], /headers/],
        ["a long file name", [entry(SIDE_FILES_PARTITION, long, 1)], /255 bytes/],
        ["a long model name", [entry(SIDE_FILES_PARTITION, "f", 1, long)], /255 bytes/, long],
      ];
      await withAccepting(target, async ({ url }) => {
        for (const [what, entries, message, model] of attacks) {
          const { peer } = dialling(url, once);
          const error = await assertRejects(
            () => sendManifest(peer, entries, model),
            HeadraceError,
            message,
          );
          assert.notInclude(error.message, folder, what);
          await peer.close();
        }
        const { peer } = dialling(url, once);
        await assertRejects(
          () => send(peer, manifestAddress("m"), bytesOf(99, 1)),
          HeadraceError,
          /./,
        );
        await peer.close();
        const other = dialling(url, once).peer;
        const tooLong = new Uint8Array(MAX_MANIFEST_BYTES + 1);
        await assertRejects(
          () => send(other, manifestAddress("m"), tooLong),
          LimitError,
          /at most/,
        );
        await other.close();
        assert.notInclude(await readdir(folder), "in");
        await makeModel(join(folder, "good"), 3);
        await pushFrom(join(folder, "good"), url);
      });
      assert.deepEqual(await readdir(target), ["good"]);
    }));

  test("accepting pushes: tensors come after their manifest and their header, and as the manifest says", () =>
    withTempFolder((folder) =>
      withAccepting(folder, async ({ url }) => {
        const { raw, header, manifest } = smallModel();
        // Other bytes under one version: what was hashed before must not be remembered.
        const { peer } = dialling(url, { ...once, digests: new DigestCache(0) });
        const bytes = bytesOf(50, 1);
        const [a, b] = ["a", "b"].map((tensor) => ({ ...header.address, tensor })) as [
          ListingEntry["address"],
          ListingEntry["address"],
        ];
        await assertRejects(() => send(peer, a, bytes), NotFoundError, /No push of m/);
        await sendManifest(peer, manifest);
        const early = await assertRejects(
          () => send(peer, a, bytes),
          HeadraceError,
          /before its file/,
        );
        assert.instanceOf(early.cause ?? early, UnauthorisedError);
        const c = { ...a, tensor: "c" };
        await assertRejects(() => send(peer, c, bytes), UnauthorisedError, /not on the list/);
        await assertRejects(() => send(peer, a, bytes, V2), IntegrityError, /changed since/);
        await assertRejects(() => send(peer, a, bytesOf(51, 1)), IntegrityError, /changed since/);
        const wrong = raw.slice().fill(0x20, 8);
        await assertRejects(
          () => send(peer, header.address, wrong),
          IntegrityError,
          /fit its file/,
        );
        await send(peer, header.address, raw);
        await send(peer, a, bytes);
        assert.deepEqual(await readdir(join(folder, "m")), [".headrace"]);
        await send(peer, b, bytes);
        assert.deepEqual(await readdir(join(folder, "m")), ["p.safetensors"]);
        await assertRejects(() => send(peer, b, bytes), NotFoundError, /No push of m/);
        await peer.close();
      }),
    ));

  test("accepting pushes: one peer at a time pushes a model, and its newer connection takes over", () =>
    withTempFolder((folder) =>
      withAccepting(folder, async ({ url }) => {
        const { manifest } = smallModel();
        const first = dialling(url, { ...once, node: "first" }).peer;
        await sendManifest(first, manifest);
        const second = dialling(url, once).peer;
        const busy = await assertRejects(
          () => sendManifest(second, manifest),
          HeadraceError,
          /by first/,
        );
        assert.instanceOf(busy.cause ?? busy, LimitError);
        await first.close();
        const third = dialling(url, { retry: { maxRetries: 5, baseDelayMs: 10 } }).peer;
        await sendManifest(third, manifest);
        await Promise.all([second.close(), third.close()]);
      }),
    ));

  test("accepting pushes: a newer connection of the same peer takes over from one that seems alive", () =>
    withTempFolder(async (folder) => {
      const { raw, header, manifest } = smallModel();
      const store = new AcceptStore(folder);
      const [old, fresh] = [store.session(), store.session()];
      const over = new Promise<void>(() => {});
      const origin = { version: V1, instance: bytesOf(16, 1), node: "trainer", over };
      const open = (session: SinkStore, address: TensorAddress, bytes: Uint8Array) =>
        session.accept(address, createDescriptor("U8", [bytes.byteLength]), origin);
      const put = async (session: SinkStore, address: TensorAddress, bytes: Uint8Array) => {
        const sink = await open(session, address, bytes);
        await sink.begin(V1, []);
        await writeLeaf(sink, bytes, 0);
        await sink.commit(undefined);
        await sink.release();
      };
      const list = encodeManifest(manifest);
      const bytes = bytesOf(50, 2);
      const [a, b] = ["a", "b"].map((tensor) => ({ ...header.address, tensor })) as [
        TensorAddress,
        TensorAddress,
      ];
      await put(old, manifestAddress("m"), list);
      await put(old, header.address, raw);
      const stale = await open(old, a, bytes);
      await stale.begin(V1, []);
      await put(fresh, manifestAddress("m"), list);
      await assertRejects(() => writeLeaf(stale, bytes, 0), StorageError, /let go/);
      await assertRejects(() => open(old, a, bytes), NotFoundError, /No push of m/);
      await assertRejects(() => put(old, manifestAddress("m"), list), LimitError, /by trainer/);
      await put(fresh, header.address, raw);
      await put(fresh, a, bytes);
      await put(fresh, b, bytes);
      assert.deepEqual(await readdir(join(folder, "m")), ["p.safetensors"]);
      await store.close();
    }));

  test("accepting pushes: when the folder vanishes amid a push, the next push begins anew", () =>
    withTempFolder(async (folder) => {
      const target = join(folder, "in");
      await makeModel(join(folder, "gpt"), 4);
      await withAccepting(target, async (accepting) => {
        let removed: Promise<void> | undefined;
        accepting.onArrived = (before) => {
          if (before === 6) removed = rm(target, { recursive: true, force: true });
        };
        await assertRejects(() => pushFrom(join(folder, "gpt"), accepting.url), HeadraceError, /./);
        await removed;
        accepting.onArrived = () => {};
        await pushFrom(join(folder, "gpt"), accepting.url);
      });
      await assertSameFiles(join(target, "gpt"), join(folder, "gpt"));
    }));
};
