import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { assert } from "chai";
import type { Clock } from "../../lib/clock.ts";
import {
  ConfigError,
  FormatError,
  IntegrityError,
  NotFoundError,
  StorageError,
} from "../../lib/errors.ts";
import { encodeHeader } from "../../lib/formats/safetensors/encode_header.ts";
import { SafetensorsStore } from "../../lib/formats/safetensors_store.ts";
import { formatAddress, parsePattern, type TensorAddress } from "../../lib/tensor/address.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import type { StoreEntry, TensorSource } from "../../lib/tensor/source.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { withTempFolder } from "./temp_folder.ts";

/** A file with these U8 tensors, each filled with its own bytes. */
function fileOf(tensors: Readonly<Record<string, string>>): Uint8Array {
  const utf8 = new TextEncoder();
  const entries = Object.entries(tensors);
  const header = encodeHeader(
    entries.map(([name, text]) => ({
      name,
      descriptor: createDescriptor("U8", [utf8.encode(text).length]),
    })),
  );
  const file = new Uint8Array(header.fileBytes);
  file.set(header.raw);
  for (const [index, [, text]] of entries.entries()) {
    file.set(utf8.encode(text), header.tensors[index]?.fileOffset);
  }
  return file;
}

async function listAll(store: SafetensorsStore, pattern = ""): Promise<StoreEntry[]> {
  const entries: StoreEntry[] = [];
  for await (const entry of store.list(parsePattern(pattern))) entries.push(entry);
  return entries;
}

const names = (entries: readonly StoreEntry[]) =>
  entries.map(({ address }) => formatAddress(address));

async function readWhole(source: TensorSource): Promise<Uint8Array> {
  const bytes = new Uint8Array(source.descriptor.byteLength);
  await source.read(0, bytes);
  return bytes;
}

async function readText(store: SafetensorsStore, address: TensorAddress): Promise<string> {
  const source = await store.open(address);
  const text = new TextDecoder().decode(await readWhole(source));
  await source.close?.();
  return text;
}

/** A folder like one from a model hub: two shards, their index, and what lies beside them. */
async function writeModel(folder: string): Promise<string> {
  const model = join(folder, "tiny");
  await mkdir(join(model, "onnx"), { recursive: true });
  const weight_map = { a: "m-1.safetensors", b: "m-1.safetensors", c: "m-2.safetensors" };
  await Promise.all([
    writeFile(join(model, "m-2.safetensors"), fileOf({ c: "ccc" })),
    writeFile(join(model, "m-1.safetensors"), fileOf({ b: "bb", a: "a", empty: "" })),
    writeFile(join(model, "m.safetensors.index.json"), JSON.stringify({ weight_map })),
    writeFile(join(model, "config.json"), "{}"),
    writeFile(join(model, "tokenizer.model"), "tok"),
    writeFile(join(model, "README.md"), ""),
    writeFile(join(model, ".hidden.json"), "{}"),
    writeFile(join(model, "other.bin"), "no"),
    writeFile(join(model, "onnx", "deep.json"), "no"),
    writeFile(join(model, "onnx", "deep.safetensors"), "no"),
    mkdir(join(model, "folder.json")),
  ]);
  return model;
}

/** A clock that stands still until it is told to run out. */
class HeldClock implements Clock {
  readonly #waiting = new Set<() => void>();
  now() {
    return 0;
  }
  after(_delayMs: number, callback: () => void) {
    this.#waiting.add(callback);
    return () => void this.#waiting.delete(callback);
  }
  runOut(): void {
    for (const callback of this.#waiting) callback();
    this.#waiting.clear();
  }
}

/** How many descriptors of this process lead to the path; where the system can tell. */
async function openDescriptors(path: string): Promise<number | undefined> {
  const { readlink } = await import("node:fs/promises");
  const links = await readdir("/proc/self/fd").catch(() => undefined);
  if (links === undefined) return undefined;
  const targets = await Promise.all(
    links.map((link) => readlink(`/proc/self/fd/${link}`).catch(() => "")),
  );
  return targets.filter((target) => target === path).length;
}

export const safetensorsStoreSuite: Suite = ({ test }) => {
  test("safetensors store: lists a folder's shards, headers first, then its side files", () =>
    withTempFolder(async (folder) => {
      const store = await SafetensorsStore.open([await writeModel(folder)]);
      assert.deepEqual(store.models, ["tiny"]);
      assert.deepEqual(names(await listAll(store)), [
        "tiny/m-1/__metadata__",
        "tiny/m-1/b",
        "tiny/m-1/a",
        "tiny/m-1/empty",
        "tiny/m-2/__metadata__",
        "tiny/m-2/c",
        "tiny/__files__/README.md",
        "tiny/__files__/config.json",
        "tiny/__files__/m.safetensors.index.json",
        "tiny/__files__/tokenizer.model",
      ]);
      assert.deepEqual(names(await listAll(store, "tiny/*/*.json")), [
        "tiny/__files__/config.json",
        "tiny/__files__/m.safetensors.index.json",
      ]);
      assert.deepEqual(names(await listAll(store, "t*/m-2")), [
        "tiny/m-2/__metadata__",
        "tiny/m-2/c",
      ]);
      assert.deepEqual(await listAll(store, "other"), []);
    }));

  test("safetensors store: the tensors of a partition put together are the file", () =>
    withTempFolder(async (folder) => {
      const model = await writeModel(folder);
      const store = await SafetensorsStore.open([model]);
      for (const shard of ["m-1", "m-2"]) {
        const parts: Uint8Array[] = [];
        for (const { address, descriptor, version } of await listAll(store, `tiny/${shard}`)) {
          const source = await store.open(address);
          assert.deepEqual(source.descriptor, descriptor);
          assert.deepEqual(await source.version(), version);
          parts.push(await readWhole(source));
          await source.close?.();
        }
        const whole = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
        assert.deepEqual(
          whole,
          new Uint8Array(await readFile(join(model, `${shard}.safetensors`))),
        );
      }
      const file = { model: "tiny", partition: "__files__", tensor: "tokenizer.model" };
      assert.equal(await readText(store, file), "tok");
    }));

  test("safetensors store: a single file is a model and a partition, by its stem or a given name", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, "one.two.safetensors");
      await writeFile(path, fileOf({ w: "w" }));
      await writeFile(join(folder, "config.json"), "{}");
      const store = await SafetensorsStore.open([path]);
      assert.deepEqual(names(await listAll(store)), [
        "one.two/one.two/__metadata__",
        "one.two/one.two/w",
      ]);
      const renamed = await SafetensorsStore.open([path], { model: "my/model" });
      assert.deepEqual(renamed.models, ["my/model"]);
      assert.equal(
        await readText(renamed, { model: "my/model", partition: "one.two", tensor: "w" }),
        "w",
      );
    }));

  test("safetensors store: follows links to files, as a hub's cache has them", () =>
    withTempFolder(async (folder) => {
      await mkdir(join(folder, "blobs"));
      await mkdir(join(folder, "snapshot"));
      await writeFile(join(folder, "blobs", "1f"), fileOf({ w: "linked" }));
      await symlink("../blobs/1f", join(folder, "snapshot", "m.safetensors"));
      await symlink("..", join(folder, "snapshot", "tokenizer"));
      const store = await SafetensorsStore.open([join(folder, "snapshot")]);
      const address = { model: "snapshot", partition: "m", tensor: "w" };
      assert.equal(await readText(store, address), "linked");
      assert.deepEqual(await listAll(store, "*/__files__"), []);
      await symlink("../blobs/2f", join(folder, "snapshot", "n.safetensors"));
      await assertRejects(
        () => SafetensorsStore.open([join(folder, "snapshot")]),
        StorageError,
        /Cannot follow the link .*n\.safetensors/,
      );
    }));

  test("safetensors store: refuses what it cannot serve, and says why", () =>
    withTempFolder(async (folder) => {
      const model = await writeModel(folder);
      await mkdir(join(folder, "empty"));
      await mkdir(join(folder, "else", "tiny"), { recursive: true });
      await writeFile(join(folder, "else", "tiny", "x.safetensors"), fileOf({}));
      await writeFile(join(folder, "__files__.safetensors"), fileOf({}));
      const refused = async (
        paths: string[],
        type: new (message: string) => Error,
        text: RegExp,
      ) => {
        await assertRejects(() => SafetensorsStore.open(paths), type, text);
      };
      await refused(
        [join(folder, "empty")],
        StorageError,
        /empty: looked for files \*\.safetensors/,
      );
      await refused([join(folder, "none")], StorageError, /none: no such file or folder/);
      await refused([join(model, "config.json")], ConfigError, /wanted a folder or a file/);
      await refused([model, join(folder, "else", "tiny")], ConfigError, /both give .* "tiny"/);
      await refused([join(folder, "__files__.safetensors")], ConfigError, /side files; rename/);
      const two = () => SafetensorsStore.open([model, model], { model: "m" });
      await assertRejects(two, ConfigError, /renames one path, but 2 were given/);

      await rm(join(model, "m-2.safetensors"));
      await refused([model], FormatError, /index\.json: names the shard "m-2\.safetensors"/);
      await writeFile(join(model, "m-2.safetensors"), fileOf({ c: "ccc" }).subarray(0, -1));
      await refused([model], FormatError, /m-2\.safetensors: Tensor "c".*missing/);
      await writeFile(join(model, "m-2.safetensors"), "PK");
      await refused([model], FormatError, /m-2\.safetensors: .*at least 8 bytes, found 2/);
    }));

  test("safetensors store: nothing lives at an unknown address, whatever it looks like", () =>
    withTempFolder(async (folder) => {
      const store = await SafetensorsStore.open([await writeModel(folder)]);
      for (const [model, partition, tensor] of [
        ["none", "m-1", "a"],
        ["tiny", "m-3", "a"],
        ["tiny", "m-1", "c"],
        ["tiny", "m-1", "__proto__"],
        ["tiny", "__files__", "other.bin"],
        ["tiny", "__files__", "../tiny/config.json"],
        ["tiny", "../tiny/m-1", "a"],
      ] as [string, string, string][]) {
        const open = () => store.open({ model, partition, tensor });
        const error = await assertRejects(open, NotFoundError, /^Nothing lives at /);
        assert.equal(error.address, formatAddress({ model, partition, tensor }));
      }
    }));

  test("safetensors store: a file that is replaced while it is read is noticed, and read anew", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, "m.safetensors");
      await writeFile(path, fileOf({ w: "old", v: "v" }));
      const clock = new HeldClock();
      const store = await SafetensorsStore.open([path], { clock });
      const address = { model: "m", partition: "m", tensor: "w" };
      const [before] = await listAll(store, "m/m/w");
      const reading = await store.open(address);
      const waiting = await store.open({ ...address, tensor: "v" });
      await reading.read(0, new Uint8Array(1));
      assert.deepEqual(await reading.version(), before?.version);

      await writeFile(join(folder, "next"), fileOf({ x: "xx", w: "new" }));
      await rename(join(folder, "next"), path);
      assert.notDeepEqual(await reading.version(), before?.version);
      await reading.close?.();
      clock.runOut();
      // It had not been read yet, so that its bytes would come from the new file.
      const read = () => waiting.read(0, new Uint8Array(1));
      const error = await assertRejects(read, IntegrityError, /changed while it was read/);
      assert.equal(error.where, "source");
      await waiting.close?.();

      assert.equal(await readText(store, address), "new");
      const after = await listAll(store);
      assert.deepEqual(names(after), ["m/m/__metadata__", "m/m/x", "m/m/w"]);
      assert.notDeepEqual(after[0]?.version, before?.version);
      clock.runOut();
    }));

  test("safetensors store: a file that goes bad fails its own requests and no others", () =>
    withTempFolder(async (folder) => {
      const model = await writeModel(folder);
      const store = await SafetensorsStore.open([model]);
      await writeFile(join(model, "m-1.safetensors"), "ruined by somebody");
      const a = { model: "tiny", partition: "m-1", tensor: "a" };
      await assertRejects(() => store.open(a), FormatError, /m-1\.safetensors: /);
      assert.equal(await readText(store, { ...a, partition: "m-2", tensor: "c" }), "ccc");
      assert.equal((await listAll(store, "tiny/m-2")).length, 2);

      const listed: StoreEntry[] = [];
      const listing = async () => {
        for await (const entry of store.list(parsePattern(""))) listed.push(entry);
      };
      await assertRejects(listing, FormatError, /m-1\.safetensors: /);
      assert.includeMembers(names(listed), ["tiny/m-2/c", "tiny/__files__/config.json"]);

      await writeFile(join(model, "m-1.safetensors"), fileOf({ a: "back" }));
      assert.equal(await readText(store, a), "back");
    }));

  test("safetensors store: a listing is never short without a word", () =>
    withTempFolder(async (folder) => {
      const model = await writeModel(folder);
      const store = await SafetensorsStore.open([model]);
      await rm(join(model, "m-2.safetensors"));
      await assertRejects(() => listAll(store), FormatError, /names the shard "m-2/);
      assert.equal((await listAll(store, "tiny/m-1")).length, 4);
      await rm(model, { recursive: true });
      await assertRejects(() => listAll(store), StorageError, /no such file or folder/);
    }));

  test("safetensors store: files that come later are found", () =>
    withTempFolder(async (folder) => {
      const model = await writeModel(folder);
      const store = await SafetensorsStore.open([model]);
      await writeFile(join(model, "m-3.safetensors"), fileOf({ d: "d" }));
      const d = { model: "tiny", partition: "m-3", tensor: "d" };
      assert.equal(await readText(store, d), "d");
      assert.equal((await listAll(store, "tiny/m-3")).length, 2);
    }));

  test("safetensors store: a thousand open tensors of a file share one descriptor", () =>
    withTempFolder(async (folder) => {
      const path = join(folder, "m.safetensors");
      const tensors = Object.fromEntries(
        Array.from({ length: 1000 }, (_, index) => [`t${index}`, `bytes of ${index}`]),
      );
      await writeFile(path, fileOf(tensors));
      const clock = new HeldClock();
      const store = await SafetensorsStore.open([path], { clock });
      const open = (tensor: string) => store.open({ model: "m", partition: "m", tensor });
      const sources = await Promise.all(Object.keys(tensors).map(open));
      const descriptors = async (wanted: number) =>
        assert.include([wanted, undefined], await openDescriptors(path));
      await descriptors(0);
      const texts = await Promise.all(
        sources.map(async (source) => new TextDecoder().decode(await readWhole(source))),
      );
      assert.deepEqual(texts, Object.values(tensors));
      await descriptors(1);
      for (const source of sources.slice(1)) await source.close?.();
      clock.runOut();
      await descriptors(1);
      assert.equal(
        new TextDecoder().decode(await readWhole(sources[0] as TensorSource)),
        "bytes of 0",
      );
      await sources[0]?.close?.();
      await sources[0]?.close?.();
      await descriptors(1);
      clock.runOut();
      while ((await openDescriptors(path)) === 1) await new Promise((next) => setTimeout(next));
      await descriptors(0);
      const closed = sources[0] as TensorSource;
      await assertRejects(() => closed.read(0, new Uint8Array(1)), TypeError, /was closed/);
      const again = await open("t999");
      assert.equal(new TextDecoder().decode(await readWhole(again)), "bytes of 999");
      await assertRejects(() => again.read(5, new Uint8Array(8)), RangeError, /has 12/);
      await again.close?.();
      clock.runOut();
    }));

  test("safetensors store: a folder given as a dot has its own name", () =>
    withTempFolder(async (folder) => {
      await writeFile(join(folder, "m.safetensors"), fileOf({ w: "w" }));
      const store = await SafetensorsStore.open([join(folder, "x", "..")]);
      assert.deepEqual(store.models, [basename(folder)]);
    }));
};
