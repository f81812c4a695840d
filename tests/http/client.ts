import { assert } from "chai";
import { deferred } from "../../lib/deferred.ts";
import {
  HeadraceError,
  IntegrityError,
  NotFoundError,
  RemoteError,
  RetryExhaustedError,
  UnauthorisedError,
} from "../../lib/errors.ts";
import { eventTurn } from "../../lib/event_turn.ts";
import { HttpClient } from "../../lib/http/client.ts";
import type { HttpOptions } from "../../lib/http/options.ts";
import { MemorySink } from "../../lib/session/memory_sink.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { parsePattern } from "../../lib/tensor/address.ts";
import { createHandler, type HandlerOptions } from "../../lib/transports/http_handler.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { ManualClock, quiet, settle } from "../session/support/manual_clock.ts";
import { patterned, sameBytes } from "../streams/support.ts";

const MiB = 1024 * 1024;
const ADDRESS = { model: "m", partition: "part 1/2", tensor: "w*" };
const ORIGIN = "http://localhost";
const BYTES = patterned(3 * MiB + 1234);

/** A store of one tensor. */
function storeOf(bytes: Uint8Array = BYTES): MemoryStore {
  const store = new MemoryStore();
  store.set(ADDRESS, bytes.slice());
  return store;
}

/** What stands between the client and the handler. */
type Meddle = (request: Request, answer: () => Promise<Response>) => Promise<Response> | Response;

/** A client of a handler, whose requests are counted and meddled with. */
function clientOf(
  store: MemoryStore,
  meddle: Meddle = (_, answer) => answer(),
  options: HttpOptions = {},
  serving: Partial<HandlerOptions> = {},
) {
  const handler = createHandler({ store, ...serving });
  const requests: Request[] = [];
  const client = new HttpClient(ORIGIN, {
    retry: { baseDelayMs: 1, maxDelayMs: 1 },
    ...options,
    fetch: async (url, init) => {
      const request = new Request(url, init);
      requests.push(request);
      return meddle(request, () => handler(request));
    },
  });
  return { client, requests };
}

const isLeaves = (request: Request): boolean => request.url.endsWith("leaves.sha256");
const rangesOf = (requests: readonly Request[]): (string | null)[] =>
  requests.filter((request) => !isLeaves(request)).map(({ headers }) => headers.get("range"));

/** The same answer with other bytes. */
async function changed(
  response: Response,
  change: (bytes: Uint8Array) => Uint8Array,
): Promise<Response> {
  const bytes = change(new Uint8Array(await response.arrayBuffer())) as Uint8Array<ArrayBuffer>;
  return new Response(bytes, { status: response.status, headers: response.headers });
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  bytes[at] = (bytes[at] as number) ^ 1;
  return bytes;
}

/** The first `byteLength` bytes, and then a failed link. */
function cutAfter(response: Response, byteLength: number): Response {
  let left = byteLength;
  const reader = response.body?.getReader();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await reader?.read();
      const piece = next?.value?.subarray(0, left);
      left -= piece?.byteLength ?? 0;
      if (piece?.byteLength) controller.enqueue(piece);
      if (left === 0 || !piece) controller.error(new TypeError("cut"));
    },
  });
  return new Response(body, { status: response.status, headers: response.headers });
}

export const httpClientSuite: Suite = ({ test }) => {
  test("http client: a tensor comes whole into memory, each leaf verified by its digest", async () => {
    const { client, requests } = clientOf(storeOf());
    const transfer = client.requestTensor(ADDRESS, { into: "memory" });
    assert.isTrue(sameBytes(await transfer.bytes(), BYTES));
    assert.equal(transfer.verified, "digests");
    assert.equal(transfer.root?.byteLength, 32);
    assert.equal(transfer.progress.bytes, BYTES.byteLength);
    assert.equal(requests.length, 2);
    assert.isAtLeast(client.receivedBytes, BYTES.byteLength);
  });

  test("http client: a tensor without bytes is there without asking for any", async () => {
    const { client, requests } = clientOf(storeOf(new Uint8Array()));
    assert.equal((await client.requestTensor(ADDRESS, { into: "memory" }).bytes()).byteLength, 0);
    assert.equal(requests.length, 1);
  });

  test("http client: a stream gives the bytes in order, also when a leaf comes damaged first", async () => {
    let isFirst = true;
    const { client } = clientOf(storeOf(), async (request, answer) => {
      if (isLeaves(request) || !isFirst) return answer();
      isFirst = false;
      return changed(await answer(), (bytes) => flipped(bytes, MiB + 7));
    });
    const { readable } = client.requestTensor(ADDRESS);
    const found = new Uint8Array(await new Response(readable).arrayBuffer());
    assert.isTrue(sameBytes(found, BYTES));
  });

  test("http client: a bad leaf is fetched again by itself", async () => {
    let isFirst = true;
    const { client, requests } = clientOf(storeOf(), async (request, answer) => {
      if (isLeaves(request) || !isFirst) return answer();
      isFirst = false;
      return changed(await answer(), (bytes) => flipped(bytes, 2 * MiB));
    });
    const transfer = client.requestTensor(ADDRESS, { into: "memory" });
    assert.isTrue(sameBytes(await transfer.bytes(), BYTES));
    const last = BYTES.byteLength - 1;
    assert.deepEqual(rangesOf(requests), [`bytes=0-${last}`, `bytes=${2 * MiB}-${3 * MiB - 1}`]);
    assert.equal(transfer.progress.retries, 0);
  });

  test("http client: a leaf that is bad again and again ends it", async () => {
    const { client, requests } = clientOf(storeOf(), async (request, answer) => {
      const response = await answer();
      return isLeaves(request) ? response : changed(response, (bytes) => flipped(bytes, 0));
    });
    const transfer = client.requestTensor(ADDRESS, { into: "memory" });
    await assertRejects(() => transfer.done, IntegrityError, /again and again/);
    assert.equal(rangesOf(requests).length, 1 + 3);
  });

  test("http client: after a cut it goes on from what was verified, on the condition of the tag", async () => {
    const store = storeOf();
    let cuts = 2;
    const { client, requests } = clientOf(store, async (request, answer) => {
      const response = await answer();
      return isLeaves(request) || --cuts < 0 ? response : cutAfter(response, MiB + 99);
    });
    const transfer = client.requestTensor(ADDRESS, { into: "memory" });
    assert.isTrue(sameBytes(await transfer.bytes(), BYTES));
    const last = BYTES.byteLength - 1;
    assert.deepEqual(
      rangesOf(requests),
      [0, MiB, 2 * MiB].map((from) => `bytes=${from}-${last}`),
    );
    const etags = requests
      .filter((one) => !isLeaves(one))
      .map(({ headers }) => headers.get("if-range"));
    assert.lengthOf(new Set(etags), 1);
    assert.match(etags[0] ?? "", /^"/);
    assert.equal(transfer.progress.retries, 2);
  });

  test("http client: what a sink holds is not asked for, whatever version it came from", async () => {
    const store = storeOf();
    const { client, requests } = clientOf(store);
    const stop = new AbortController();
    const sink = new MemorySink({
      dtype: "U8",
      shape: [BYTES.byteLength],
      byteLength: BYTES.byteLength,
    });
    const first = client.requestTensor(ADDRESS, {
      signal: stop.signal,
      into: () => {
        const { write } = sink;
        sink.write = async (leaf, bytes) => {
          await write.call(sink, leaf, bytes);
          if (leaf.index === 1) stop.abort(new Error("enough"));
        };
        return sink;
      },
    });
    await assertRejects(() => first.done, Error, /enough/);
    const other = flipped(BYTES.slice(), 0); // leaf 0 differs now, leaf 1 does not
    store.set(ADDRESS, other);
    const second = client.requestTensor(ADDRESS, { into: () => sink });
    await second.done;
    assert.isTrue(sameBytes(sink.bytes, other));
    assert.equal(second.progress.resumedBytes, MiB);
    assert.include(rangesOf(requests), `bytes=0-${MiB - 1}`);
    assert.include(rangesOf(requests), `bytes=${2 * MiB}-${BYTES.byteLength - 1}`);
  });

  test("http client: a tensor that changes is begun again, or ends what is bound to its version", async () => {
    for (const isPinned of [false, true]) {
      const store = storeOf();
      const version = store.get(ADDRESS)?.version as Uint8Array;
      const other = patterned(BYTES.byteLength).reverse();
      let isFirst = true;
      const { client } = clientOf(store, async (request, answer) => {
        const response = await answer();
        if (isLeaves(request) || !isFirst) return response;
        isFirst = false;
        const cut = cutAfter(response, MiB);
        store.set(ADDRESS, other.slice());
        return cut;
      });
      const options = { into: "memory", ...(isPinned && { version }) } as const;
      const transfer = client.requestTensor(ADDRESS, options);
      if (isPinned) {
        const error = await assertRejects(() => transfer.done, IntegrityError, /412/);
        assert.equal((error as IntegrityError).where, "source");
      } else {
        assert.isTrue(sameBytes(await transfer.bytes(), other));
      }
    }
  });

  test("http client: a root that was given is held to", async () => {
    const { client } = clientOf(storeOf());
    const first = client.requestTensor(ADDRESS, { into: "memory" });
    await first.done;
    const root = first.root as Uint8Array;
    const second = client.requestTensor(ADDRESS, { into: "memory", root });
    await second.done;
    assert.equal(second.verified, "root");
    const third = client.requestTensor(ADDRESS, { into: "memory", root: new Uint8Array(32) });
    await assertRejects(() => third.done, IntegrityError, /root wanted/);
  });

  test("http client: lists by pattern, and finds nothing where nothing is", async () => {
    const store = storeOf(new Uint8Array(8));
    const names = ["a", "b", "c/d"];
    for (const tensor of names) {
      store.set({ model: "other model", partition: "p", tensor }, new Float32Array(6), {
        shape: [2, 3],
      });
    }
    const { client, requests } = clientOf(store);
    const listed = async (pattern: string) =>
      (await client.list(parsePattern(pattern))).map(({ address }) => address.tensor);
    assert.deepEqual(await listed(""), ["w*", ...names]);
    assert.deepEqual(await listed("other%20model"), names);
    assert.deepEqual(await listed("*/p/c*"), ["c/d"]);
    assert.deepEqual(await listed("m/x"), []);
    await assertRejects(() => listed("nothing"), NotFoundError, /nothing/);
    const [entry] = await client.list(parsePattern("other%20model/p/a"));
    assert.deepEqual(entry?.descriptor, { dtype: "F32", shape: [2, 3], byteLength: 24 });
    assert.isTrue(requests.every(({ method }) => method === "GET"));
  });

  test("http client: a list that is cut, cannot be or is too long is none", async () => {
    const answers: [string, RegExp][] = [
      ['{"tensors":[\n', /ended before its end/],
      ["<html>", /ended before|something else/],
      ['{"models":[\n]}\n', /something else/],
      ['{"tensors":[\n{"partition":1}\n]}\n', /cannot be/],
      ['{"tensors":[\nnull\n]}\n', /cannot be/],
      ['{"tensors":[\n],"error":{"code":"limit","message":"too much"}}\n', /too much/],
      [`{"tensors":[\n"${"x".repeat(40_000)}`, /may take 32768/],
    ];
    for (const [text, message] of answers) {
      const { client } = clientOf(storeOf(), () => new Response(text));
      await assertRejects(() => client.list(parsePattern("m")), HeadraceError, message);
    }
    const { client } = clientOf(storeOf(), undefined, { limits: { maxListEntries: 0 } });
    await assertRejects(() => client.list(parsePattern("m")), HeadraceError, /more than 0/);
  });

  test("http client: a token is said, and a wrong one is not tried again", async () => {
    const authorise = (token: string | undefined) => token === "right";
    for (const [token, ok] of [
      ["right", true],
      ["wrong", false],
    ] as const) {
      const { client, requests } = clientOf(storeOf(), undefined, { token }, { authorise });
      const { done } = client.requestTensor(ADDRESS, { into: "memory" });
      if (ok) await done;
      else await assertRejects(() => done, UnauthorisedError, /401/);
      assert.equal(requests.length, ok ? 2 : 1);
      assert.isFalse(requests.some(({ url }) => url.includes(token)));
    }
  });

  test("http client: no tensor, or files that fail for good, no retry; a server that is not there, as many as are allowed", async () => {
    const { client, requests } = clientOf(new MemoryStore());
    await assertRejects(() => client.requestTensor(ADDRESS).done, NotFoundError, /404/);
    assert.equal(requests.length, 1);
    const broken = clientOf(storeOf(), () => {
      const fault = { code: "storage", retryable: false, message: "its own files fail it" };
      return new Response(`${JSON.stringify(fault)}\n`, { status: 500 });
    });
    const final = await assertRejects(
      () => broken.client.requestTensor(ADDRESS).done,
      RemoteError,
      /500: its own files/,
    );
    assert.equal(final.remoteCode, "storage");
    assert.lengthOf(broken.requests, 1);
    const away = clientOf(storeOf(), () => Promise.reject(new TypeError("fetch failed")));
    const error = await assertRejects(
      () => away.client.requestTensor(ADDRESS).done,
      RetryExhaustedError,
      /4 failed attempts/,
    );
    assert.equal((error as RetryExhaustedError).attempts, 4);
    assert.equal(away.requests.length, 4);
  });

  test("http client: a paused transfer takes nothing, and goes on when it may", async () => {
    const { client, requests } = clientOf(storeOf());
    const transfer = client.requestTensor(ADDRESS, { into: "memory" });
    transfer.pause();
    const first = client.requestTensor(ADDRESS, { into: "memory" });
    await first.done;
    assert.equal(transfer.phase, "paused");
    assert.isBelow(transfer.progress.bytes, BYTES.byteLength);
    assert.lengthOf(rangesOf(requests), 1);
    transfer.resume();
    assert.isTrue(sameBytes(await transfer.bytes(), BYTES));
  });

  test("http client: a paused transfer can be cancelled, in whatever way, and all else goes on", async () => {
    const { client } = clientOf(storeOf());
    const stop = new AbortController();
    const cancelled = client.requestTensor(ADDRESS, { into: "memory" });
    const aborted = client.requestTensor(ADDRESS, { into: "memory", signal: stop.signal });
    for (const transfer of [cancelled, aborted]) transfer.pause();
    cancelled.cancel(new Error("enough"));
    stop.abort(new Error("enough"));
    for (const { done } of [cancelled, aborted]) await assertRejects(() => done, Error, /enough/);
    // A turn of the event loop comes only where nothing spins.
    await eventTurn();
    const bytes = await client.requestTensor(ADDRESS, { into: "memory" }).bytes();
    assert.isTrue(sameBytes(bytes, BYTES));
  });

  for (const what of ["a stream that nobody reads", "a pause"] as const) {
    test(`http client: ${what} keeps no other from its turn, and goes on from where it stood`, async () => {
      const clock = new ManualClock();
      const bytes = patterned(6 * MiB + 5);
      let asked = 0;
      const { client, requests } = clientOf(
        storeOf(bytes),
        (request, answer) => {
          if (!isLeaves(request) && ++asked === 1 && what === "a pause") first.pause();
          return answer();
        },
        { clock, maxRequests: 1 },
      );
      const into = what === "a pause" ? "memory" : "stream";
      const first = client.requestTensor(ADDRESS, { into });
      await quiet(() => client.receivedBytes);
      const urgent = client.requestTensor(ADDRESS, { into: "memory", priority: 200 });
      await quiet(() => client.receivedBytes);
      assert.equal(asked, 1, "there is no turn for more");
      await clock.advance(1000);
      assert.isTrue(sameBytes(await urgent.bytes(), bytes));
      first.resume();
      const readable =
        into === "stream" ? first.readable : new Blob([(await first.bytes()) as BlobPart]).stream();
      const found = await new Response(readable as BodyInit).arrayBuffer();
      assert.isTrue(sameBytes(new Uint8Array(found), bytes));
      const begun = rangesOf(requests).map((range) => Number(/=(\d+)-/.exec(range ?? "")?.[1]));
      assert.deepEqual(begun, [0, 0, what === "a pause" ? 0 : 2 * MiB]);
      assert.equal(first.progress.retries, 0);
    });
  }

  test("http client: each request that finds no place is given one of those that rest", async () => {
    const clock = new ManualClock();
    const store = storeOf(patterned(6 * MiB));
    const gate = deferred<void>();
    const meddle: Meddle = async (_, answer) => {
      // Those that come later are not answered before all is seen.
      if (requests.length > 4) await gate.promise;
      return answer();
    };
    const { client, requests } = clientOf(store, meddle, { clock, maxRequests: 2 });
    const unread = [1, 2].map(() => client.requestTensor(ADDRESS));
    for (const { done } of unread) done.catch(() => {});
    await quiet(() => client.receivedBytes);
    await clock.advance(1000);
    const resting = requests.filter(({ signal }) => !signal.aborted);
    assert.lengthOf(resting, 2);
    const urgent = [1, 2].map(() => client.requestTensor(ADDRESS, { into: "memory" }));
    await quiet(() => requests.length);
    assert.lengthOf(requests, 6);
    assert.deepEqual(
      resting.map(({ signal }) => signal.aborted),
      [true, true],
    );
    gate.resolve();
    await Promise.all(urgent.map(({ done }) => done));
    await client.close();
  });

  test("http client: a reader that takes its time is given one answer, where nobody else asks", async () => {
    const clock = new ManualClock();
    const { client, requests } = clientOf(storeOf(patterned(6 * MiB)), undefined, { clock });
    const reader = client.requestTensor(ADDRESS).readable.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      await clock.advance(1500);
    }
    assert.lengthOf(rangesOf(requests), 1);
  });

  test("http client: closing ends transfers that wait for a reader or for the end of a pause", async () => {
    const { client } = clientOf(storeOf(patterned(6 * MiB)));
    const paused = client.requestTensor(ADDRESS, { into: "memory" });
    paused.pause();
    const unread = client.requestTensor(ADDRESS);
    await quiet(() => client.receivedBytes);
    await client.close();
    for (const { done } of [paused, unread]) {
      await assertRejects(() => done, DOMException, /closed/);
    }
  });

  test("http client: a sink that was let go of is not written to any more", async () => {
    const { client } = clientOf(storeOf(patterned(4 * MiB)));
    const gate = deferred<void>();
    const begun: number[] = [];
    class HeldSink extends MemorySink {
      override async write(...given: Parameters<MemorySink["write"]>): Promise<void> {
        begun.push(given[0].index);
        await gate.promise;
        await super.write(...given);
      }
    }
    const transfer = client.requestTensor(ADDRESS, {
      into: ({ descriptor }) => new HeldSink(descriptor),
    });
    await quiet(() => client.receivedBytes);
    transfer.cancel(new Error("enough"));
    await assertRejects(() => transfer.done, Error, /enough/);
    gate.resolve();
    await settle();
    assert.deepEqual(begun, [0]);
  });

  test("http client: answers that are made here leave the event loop its turns", async () => {
    const { client } = clientOf(storeOf(patterned(64 * MiB)));
    const transfer = client.requestTensor(ADDRESS, { into: "memory" });
    let turns = 0;
    while (!transfer.isOver && transfer.progress.bytes < 32 * MiB) {
      await eventTurn();
      turns++;
    }
    assert.isAtLeast(turns, 16);
    transfer.cancel(new Error("enough"));
    await assertRejects(() => transfer.done, Error, /enough/);
  });

  test("http client: a cancel ends the request under way, and closing ends all", async () => {
    const { client, requests } = clientOf(storeOf(), (request, answer) =>
      isLeaves(request) ? answer() : new Response(new ReadableStream(), { status: 206 }),
    );
    const transfer = client.requestTensor(ADDRESS, { into: "memory" });
    transfer.cancel(new Error("the user left"));
    await assertRejects(() => transfer.done, Error, /the user left/);
    const other = client.requestTensor(ADDRESS, { into: "memory" });
    await client.close();
    await assertRejects(() => other.done, DOMException, /closed/);
    assert.isTrue(requests.every(({ signal }) => signal.aborted));
  });
};
