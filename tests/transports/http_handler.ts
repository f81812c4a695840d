import { assert } from "chai";
import fc from "fast-check";
import { deferred } from "../../lib/deferred.ts";
import { IntegrityError, StorageError } from "../../lib/errors.ts";
import { sha256 } from "../../lib/platform/sha256.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { PeerRegistry } from "../../lib/session/peer_registry.ts";
import { toHex } from "../../lib/tensor/bytes.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import type { TensorStore } from "../../lib/tensor/source.ts";
import {
  createHandler,
  type HandlerOptions,
  parseRange,
} from "../../lib/transports/http_handler.ts";
import type { Suite } from "../harness.ts";
import { arrivedRequest } from "../http/support/arrived_request.ts";
import { assertRejects } from "../rejects.ts";
import { LEAF, storeOf, TestSource, WEIGHTS } from "../session/support/tensors.ts";
import { patterned, sameBytes } from "../streams/support.ts";
import { quiet } from "./conformance.ts";

const DESCRIPTOR = createDescriptor("U8", [5]);
const PATH = "http://localhost/m/default/w";

/** Asks a handler over this store. */
function asking(options: HandlerOptions) {
  const handler = createHandler(options);
  return (headers: Record<string, string> = {}, init: RequestInit = {}, url = PATH) =>
    handler(arrivedRequest(url, { ...init, headers }));
}

const bytesOf = async (response: Response) => new Uint8Array(await response.arrayBuffer());

export const httpHandlerSuite: Suite = ({ test }) => {
  test("http: a tensor comes whole, with what it is, and HEAD says as much without it", async () => {
    const store = new MemoryStore();
    store.set(WEIGHTS, new Float32Array(300_000).fill(1.5), { shape: [300, 1000] });
    const ask = asking({ store });
    for (const method of ["GET", "HEAD"]) {
      const response = await ask({}, { method });
      assert.equal(response.status, 200);
      const { headers } = response;
      assert.equal(headers.get("content-length"), "1200000");
      assert.equal(headers.get("content-type"), "application/octet-stream");
      assert.equal(headers.get("headrace-dtype"), "F32");
      assert.equal(headers.get("headrace-shape"), "300,1000");
      assert.equal(headers.get("accept-ranges"), "bytes");
      assert.include(headers.get("cache-control") ?? "", "no-transform");
      assert.equal(
        headers.get("etag"),
        `"${toHex(store.get(WEIGHTS)?.version ?? new Uint8Array())}"`,
      );
      const found = await bytesOf(response);
      const wanted =
        method === "GET" ? (store.get(WEIGHTS)?.bytes as Uint8Array) : new Uint8Array();
      assert.isTrue(sameBytes(found, wanted));
    }
  });

  test("http: bodies are counted, by how far they were read, and HEAD is none", async () => {
    const source = new TestSource(new Uint8Array(3 * 256 * 1024));
    const registry = new PeerRegistry();
    const ask = asking({ store: storeOf([WEIGHTS, source]), registry });
    await ask({}, { method: "HEAD" });
    const { byteLength } = await bytesOf(await ask());
    const digests = await bytesOf(await ask({}, {}, `${PATH}/leaves.sha256`));
    const wholeBytes = byteLength + digests.byteLength;
    const seen = { underWay: 0, complete: 2, cut: 0, bytes: wholeBytes };
    assert.deepEqual(registry.totals().responses, seen);

    const reader = (await ask()).body?.getReader();
    const first = (await reader?.read())?.value?.byteLength ?? 0;
    const amid = { ...seen, underWay: 1, bytes: wholeBytes + first };
    assert.deepEqual(registry.totals().responses, amid);
    assert.isBelow(first, byteLength);
    await reader?.cancel();
    assert.deepEqual(registry.totals().responses, { ...amid, underWay: 0, cut: 1 });

    source.onRead = () => Promise.reject(new Error("the disk is gone"));
    await assertRejects(async () => bytesOf(await ask()), Error, /./);
    assert.deepEqual(registry.totals().responses, { ...amid, underWay: 0, cut: 2 });
  });

  test("http: what there is is listed as JSON, models, then tensors, read only as it is taken", async () => {
    const store = new MemoryStore();
    const address = { model: "a b", partition: "p", tensor: "w/1" };
    store.set(address, new Float32Array(6), { shape: [2, 3] });
    store.set(WEIGHTS, new Uint8Array(5));
    const ask = asking({ store });
    const jsonOf = async (path: string) => {
      const response = await ask({}, {}, `http://localhost${path}`);
      assert.equal(response.headers.get("content-type"), "application/json");
      return response.json();
    };
    assert.deepEqual(await jsonOf("/"), { models: ["a b", WEIGHTS.model] });
    const version = toHex(store.get(address)?.version ?? new Uint8Array());
    const entry = { partition: "p", tensor: "w/1", dtype: "F32", shape: [2, 3], byteLength: 24 };
    for (const path of ["/a%20b", "/a%20b/", "/a%20b/p"]) {
      assert.deepEqual(await jsonOf(path), { tensors: [{ ...entry, version }] }, path);
    }
    for (const path of ["/*", "/a%20b/*"]) {
      assert.equal((await ask({}, {}, `http://localhost${path}`)).status, 404);
    }
    const head = await ask({}, { method: "HEAD" }, "http://localhost/");
    assert.equal(await head.text(), "");
    let given = 0;
    const endless: TensorStore = {
      ...storeOf(),
      async *list() {
        for (;;)
          yield {
            address: { ...address, tensor: `${given++}` },
            descriptor: DESCRIPTOR,
            version: new Uint8Array(),
          };
      },
    };
    const response = await asking({ store: endless })({}, {}, "http://localhost/m");
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    assert.isBelow(given, 1000);
  });

  test("http: a list that fails amid it says why, beside what came", async () => {
    const store: TensorStore = {
      ...storeOf(),
      async *list() {
        yield { address: WEIGHTS, descriptor: DESCRIPTOR, version: new Uint8Array() };
        throw new IntegrityError("source", "it changed");
      },
    };
    const response = await asking({ store })({}, {}, "http://localhost/m");
    const { tensors, error } = (await response.json()) as Record<string, unknown>;
    assert.lengthOf(tensors as unknown[], 1);
    assert.deepInclude(error, { code: "integrity", retryable: true, message: "it changed" });
  });

  test("http: ranges are read as RFC 9110 says", () => {
    const cases: [string | null, unknown][] = [
      [null, undefined],
      ["bytes=0-0", { from: 0, end: 1 }],
      ["bytes=10-19", { from: 10, end: 20 }],
      ["bytes = 90 - 200", { from: 90, end: 100 }],
      ["bytes=99-", { from: 99, end: 100 }],
      ["bytes=-1", { from: 99, end: 100 }],
      ["bytes=-1000", { from: 0, end: 100 }],
      ["bytes=100-", "unsatisfiable"],
      ["bytes=-0", "unsatisfiable"],
      ["bytes=5-4", undefined],
      ["bytes=-", undefined],
      ["bytes=0-1,5-6", undefined],
      ["rows=0-1", undefined],
      ["bytes=1e1-20", undefined],
    ];
    for (const [header, expected] of cases)
      assert.deepEqual(parseRange(header, 100), expected, `${header}`);
    assert.equal(parseRange("bytes=0-", 0), "unsatisfiable");
  });

  test("http: whatever the ranges, their bytes are the tensor's", async () => {
    const source = new TestSource(patterned(700_000));
    const ask = asking({ store: storeOf([WEIGHTS, source]) });
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 699_999 }), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(cuts, async (some) => {
        const edges = [0, ...some.sort((a, b) => a - b), 700_000];
        for (let n = 1; n < edges.length; n++) {
          const [from = 0, end = 0] = [edges[n - 1], edges[n]];
          const response = await ask({ range: `bytes=${from}-${end - 1}` });
          assert.equal(response.status, 206);
          assert.equal(response.headers.get("content-range"), `bytes ${from}-${end - 1}/700000`);
          assert.isTrue(sameBytes(await bytesOf(response), source.bytes.subarray(from, end)));
        }
      }),
      { numRuns: 20 },
    );
    assert.equal(source.closed, source.opened);
  });

  test("http: conditions are held to the version that is here", async () => {
    const source = new TestSource(patterned(1000), 7);
    const ask = asking({ store: storeOf([WEIGHTS, source]) });
    const range = { range: "bytes=0-9" };
    const statusOf = async (headers: Record<string, string>) => {
      const response = await ask(headers);
      await response.body?.cancel();
      return response.status;
    };
    assert.equal(await statusOf({ "if-none-match": '"07"' }), 304);
    assert.equal(await statusOf({ "if-none-match": 'W/"07", "08"' }), 304);
    assert.equal(await statusOf({ "if-none-match": "*" }), 304);
    assert.equal(await statusOf({ "if-none-match": '"08"' }), 200);
    assert.equal(await statusOf({ "if-match": '"08"' }), 412);
    assert.equal(await statusOf({ "if-match": 'W/"07"' }), 412);
    assert.equal(await statusOf({ "if-match": '"08", "07"' }), 200);
    assert.equal(await statusOf({ ...range, "if-range": '"07"' }), 206);
    assert.equal(await statusOf({ ...range, "if-range": '"08"' }), 200);
    assert.equal(await statusOf({ ...range, "if-range": 'W/"07"' }), 200);
    assert.equal(await statusOf({ ...range, "if-range": "Wed, 25 Nov 2026 12:00:00 GMT" }), 200);
    assert.equal(await statusOf({ range: "bytes=1000-" }), 416);
    assert.equal(source.closed, source.opened);
  });

  test("http: the digests of all leaves come under a URL of their own, for whoever verifies", async () => {
    const source = new TestSource(patterned(2 * LEAF + 5));
    const ask = asking({ store: storeOf([WEIGHTS, source]) });
    for (let pass = 0; pass < 2; pass++) {
      const response = await ask({}, {}, `${PATH}/leaves.sha256`);
      assert.equal(response.headers.get("content-length"), "96");
      const digests = await bytesOf(response);
      for (let leaf = 0; leaf < 3; leaf++) {
        const wanted = await sha256([source.bytes.subarray(leaf * LEAF, (leaf + 1) * LEAF)]);
        assert.isTrue(sameBytes(digests.subarray(32 * leaf, 32 * leaf + 32), wanted));
      }
      assert.equal(source.readBytes, source.bytes.byteLength, "hashed once");
    }
    assert.equal(source.closed, source.opened);
  });

  test("http: a body is read only as far as it is taken, and let go of with its reader", async () => {
    const source = new TestSource(patterned(20 * LEAF));
    const ask = asking({ store: storeOf([WEIGHTS, source]) });
    const response = await ask();
    assert.equal(source.readBytes, 0);
    const reader = response.body?.getReader();
    let taken = 0;
    while (taken < 2 * LEAF) taken += (await reader?.read())?.value?.byteLength ?? 0;
    assert.isAtMost(source.readBytes, taken + LEAF / 2);
    await reader?.cancel();
    assert.equal(source.closed, 1);
  });

  test("http: who leaves in the middle of a read lets go of the source once", async () => {
    const source = new TestSource(patterned(3 * LEAF));
    const told: unknown[] = [];
    const onError = (error: unknown) => told.push(error);
    const ask = asking({ store: storeOf([WEIGHTS, source]), onError });
    const reader = (await ask()).body?.getReader();
    const begun = deferred<void>();
    const gate = deferred<void>();
    source.onRead = () => {
      begun.resolve();
      return gate.promise;
    };
    const reading = reader?.read();
    await begun.promise;
    await reader?.cancel();
    gate.resolve();
    assert.isTrue((await reading)?.done);
    await quiet(() => source.closed);
    assert.equal(source.closed, 1);
    assert.isEmpty(told, "it is nobody's failure");
  });

  test("http: HEAD says what the whole is, whatever the range, and caches tell pages apart", async () => {
    const ask = asking({ store: storeOf([WEIGHTS, new TestSource(patterned(1000))]) });
    const { status, headers } = await ask({ range: "bytes=0-9" }, { method: "HEAD" });
    assert.equal(status, 200);
    assert.equal(headers.get("content-length"), "1000");
    assert.isNull(headers.get("content-range"));
    assert.equal(headers.get("vary"), "Origin");
    assert.equal(headers.get("x-content-type-options"), "nosniff");
  });

  test("http: a tensor that changes while it is sent ends short, in an error", async () => {
    // At the last read as well, after which nothing else would tell.
    for (const changedAt of [LEAF, 3 * LEAF - 1]) {
      for (const path of [PATH, `${PATH}/leaves.sha256`]) {
        const source = new TestSource(patterned(3 * LEAF));
        const ask = asking({ store: storeOf([WEIGHTS, source]) });
        const response = await ask({}, {}, path);
        source.onRead = (at) => {
          if (at + LEAF > changedAt) source.versionNumber = 2;
        };
        const reader = response.body?.getReader();
        let receivedBytes = 0;
        const reading = async () => {
          for (let next = await reader?.read(); next?.value; next = await reader?.read()) {
            receivedBytes += next.value.byteLength;
          }
        };
        await assertRejects(reading, IntegrityError, /changed while it was sent/);
        assert.isBelow(receivedBytes, Number(response.headers.get("content-length")));
        assert.equal(source.closed, 1);
      }
    }
  });

  test("http: what an answer fails with is told here, and to nobody else what is private", async () => {
    const told: string[] = [];
    const onError = (error: unknown) => told.push((error as Error).message);
    const file = "/srv/secret/m.safetensors is gone";
    const broken = new TestSource(patterned(3 * LEAF));
    broken.onRead = () => Promise.reject(new StorageError(file));
    const store: TensorStore = {
      ...storeOf([WEIGHTS, broken]),
      list: () => ({
        [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new StorageError(file)) }),
      }),
    };
    const ask = asking({ store, onError });
    for (const path of ["/", "/m", "/m/default/x"]) {
      const text = await (await ask({}, {}, `http://localhost${path}`)).text();
      assert.notInclude(text, "secret");
      assert.include(text, '"retryable":false');
    }
    await assertRejects(async () => (await ask()).text(), Error, /./);
    const other = "There is no m/default/x here";
    assert.deepEqual(told, [file, file, other, file]);
  });

  test("http: what is not there, not allowed or not known is told in JSON, without paths", async () => {
    const store = storeOf([WEIGHTS, new TestSource(patterned(10))]);
    const authorise = (token: string | undefined) => token === "secret";
    const ask = asking({
      store,
      authorise,
      origins: ["https://app.example"],
      hosts: ["peer.example"],
    });
    const mine = { authorization: "Bearer secret" };
    const cases: [Promise<Response>, number, string][] = [
      [ask(), 401, "unauthorised"],
      [ask({ authorization: "Bearer other" }), 401, "unauthorised"],
      [ask(mine, {}, "http://localhost/m/default/x"), 404, "not_found"],
      [ask(mine, {}, "http://localhost/m/other"), 404, "not_found"],
      [ask({}, {}, "http://localhost/"), 401, "unauthorised"],
      [ask(mine, {}, "http://localhost/m/default/w/else"), 404, "not_found"],
      [ask(mine, {}, "http://localhost/m/%ff/w"), 404, "not_found"],
      [ask(mine, { method: "DELETE" }), 405, "protocol"],
      [ask({ ...mine, origin: "https://evil.example" }), 403, "unauthorised"],
      [ask(mine, {}, "http://evil.example/m/default/w"), 403, "unauthorised"],
    ];
    for (const [asked, status, code] of cases) {
      const response = await asked;
      assert.equal(response.status, status);
      assert.equal((await response.json()).code, code);
    }
    const named = await ask(mine, {}, "http://peer.example/m/default/w");
    assert.equal((await bytesOf(named)).byteLength, 10);
    const page = await ask({ ...mine, origin: "https://app.example" });
    assert.equal(page.headers.get("access-control-allow-origin"), "https://app.example");
    await page.body?.cancel();
    const preflight = await ask({ origin: "https://app.example" }, { method: "OPTIONS" });
    assert.equal(preflight.status, 204);
    assert.include(preflight.headers.get("access-control-allow-headers") ?? "", "Range");
  });
};
