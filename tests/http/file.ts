import { assert } from "chai";
import {
  FormatError,
  IntegrityError,
  LimitError,
  NotFoundError,
  ProtocolError,
  RetryExhaustedError,
} from "../../lib/errors.ts";
import { HttpSafetensors } from "../../lib/http/file.ts";
import type { HttpOptions } from "../../lib/http/options.ts";
import { MemorySink } from "../../lib/session/memory_sink.ts";
import { parsePattern } from "../../lib/tensor/address.ts";
import { createDescriptor } from "../../lib/tensor/descriptor.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { ManualClock, quiet } from "../session/support/manual_clock.ts";
import { sameBytes } from "../streams/support.ts";
import {
  gzip,
  safetensorsFile,
  type WebFile,
  type WebServer,
  withWebServer,
} from "./support/web_server.ts";

const MiB = 1024 * 1024;
const LENGTHS = { "a.weight": 2 * MiB + 77, empty: 0, "b/bias": 1000 };
const FILE = safetensorsFile(LENGTHS);
const OTHER = safetensorsFile(LENGTHS, 2);
const STRONG = '"v1"';
/** The header is asked for by the first of these, the rest by the second. */
const FIRST = "bytes=0-65535";
const WHOLE = `bytes=0-${FILE.byteLength - 1}`;

const open = (server: WebServer, options: HttpOptions = {}) =>
  new HttpSafetensors(server.url, { retry: { baseDelayMs: 1, maxDelayMs: 1 }, ...options });

/** Fetches the whole file into memory, once. */
async function fetched(server: WebServer, options: HttpOptions = {}) {
  const file = open(server, options);
  const transfer = file.requestFile({ into: "memory" });
  const bytes = await transfer.bytes();
  assert.equal(transfer.verified, "length");
  return { bytes, transfer };
}

/** Fetches it while the server does something, and expects the failure. */
function fails<E extends Error>(
  web: Partial<WebFile>,
  kind: abstract new (...args: never[]) => E,
  message: RegExp,
  options: HttpOptions = {},
): Promise<void> {
  return withWebServer({ bytes: FILE, etag: STRONG, ...web }, async (server) => {
    await assertRejects(
      () => open(server, options).requestFile({ into: "memory" }).done,
      kind,
      message,
    );
  });
}

export const httpFileSuite: Suite = ({ test }) => {
  test("http file: another file of the same tag and length is not taken for it, a new signature is", async () => {
    const fetch = async (): Promise<Response> =>
      new Response(FILE as Uint8Array<ArrayBuffer>, {
        headers: { etag: STRONG, "content-length": String(FILE.byteLength) },
      });
    const versionAt = async (url: string): Promise<string> => {
      const { entry } = await new HttpSafetensors(url, { fetch }).describe();
      return entry.version.join();
    };
    const one = await versionAt("https://models.example/a/model.safetensors?signature=1");
    assert.equal(await versionAt("https://models.example/a/model.safetensors?signature=2"), one);
    assert.notEqual(await versionAt("https://models.example/b/model.safetensors"), one);
    assert.notEqual(await versionAt("https://other.example/a/model.safetensors"), one);
  });

  test("http file: any web server's file comes whole, its header by a part first", () =>
    withWebServer({ bytes: FILE, etag: STRONG }, async (server) => {
      const { bytes, transfer } = await fetched(server);
      assert.isTrue(sameBytes(bytes, FILE));
      assert.isUndefined(transfer.root);
      assert.deepEqual(server.ranges, [FIRST, WHOLE]);
      assert.equal(server.asked[1]?.ifRange, STRONG);
    }));

  test("http file: an answer that cannot be asked for again waits without a turn, and goes on", () =>
    withWebServer({ bytes: FILE, hasRanges: false }, async (server) => {
      const clock = new ManualClock();
      const file = open(server, { clock, maxRequests: 1 });
      const unread = file.requestFile();
      await quiet(() => unread.progress.bytes + server.asked.length);
      const others = server.asked.length;
      const urgent = file.requestFile({ into: "memory", priority: 200 });
      await clock.advance(1000);
      assert.isTrue(sameBytes(await urgent.bytes(), FILE));
      const read = await new Response(unread.readable as BodyInit).arrayBuffer();
      assert.isTrue(sameBytes(new Uint8Array(read), FILE));
      assert.equal(server.asked.length, others + 2, "of the urgent one: the header, and all");
    }));

  test("http file: a tensor comes by its part of the file", () =>
    withWebServer({ bytes: FILE, etag: STRONG }, async (server) => {
      const file = open(server);
      const entries = await file.list(parsePattern(""));
      assert.deepEqual(
        entries.map(({ address }) => address.tensor),
        ["__metadata__", "a.weight", "empty", "b/bias"],
      );
      for (const { address, descriptor, version } of entries) {
        const found = await file.requestTensor(address, { into: "memory", version }).bytes();
        assert.equal(found.byteLength, descriptor.byteLength);
      }
      const bytesOf = (tensor: string) =>
        file
          .requestTensor({ model: "tiny", partition: "tiny", tensor }, { into: "memory" })
          .bytes();
      const bias = await bytesOf("b/bias");
      assert.isTrue(sameBytes(bias, FILE.subarray(-1000)));
      const weight = await bytesOf("a.weight");
      assert.isTrue(sameBytes(weight, FILE.subarray(-1000 - LENGTHS["a.weight"], -1000)));
      await assertRejects(() => bytesOf("c"), NotFoundError, /nothing called/);
    }));

  test("http file: without ranges one answer gives all, whatever it is asked", () =>
    withWebServer({ bytes: FILE, hasRanges: false }, async (server) => {
      const { bytes } = await fetched(server);
      assert.isTrue(sameBytes(bytes, FILE));
      const file = open(server);
      const address = { model: "tiny", partition: "tiny", tensor: "b/bias" };
      const bias = await file.requestTensor(address, { into: "memory" }).bytes();
      assert.isTrue(sameBytes(bias, FILE.subarray(-1000)));
    }));

  for (const [name, web, isResumed] of [
    ["a strong tag", { etag: STRONG }, true],
    ["a weak tag", { etag: 'W/"v1"' }, false],
    ["a date alone", { lastModified: "Wed, 25 Nov 2026 12:00:00 GMT" }, false],
    ["no ranges", { etag: STRONG, hasRanges: false }, false],
  ] as const) {
    test(`http file: after a cut, with ${name}, it ${isResumed ? "goes on" : "starts over"}`, () => {
      let cuts = 2;
      let cut = () => {};
      const meddle: WebFile["meddle"] = ({ count }, answer) => {
        if (count === 0 || --cuts < 0) return;
        answer.cutAfter = MiB + 100;
        answer.cutWhen = new Promise((resolve) => {
          cut = resolve;
        });
      };
      const sink = new MemorySink(createDescriptor("U8", [FILE.byteLength]));
      const write = MemorySink.prototype.write.bind(sink);
      sink.write = async (leaf, bytes) => {
        await write(leaf, bytes);
        cut();
      };
      return withWebServer({ bytes: FILE, ...web, meddle }, async (server) => {
        const file = open(server);
        const { version } = (await file.describe()).entry;
        const transfer = file.requestFile({ into: () => sink, version });
        await transfer.done;
        assert.isTrue(sameBytes(sink.bytes, FILE));
        assert.equal(transfer.progress.retries, 2);
        const from = server.ranges.slice(1).map((range) => /=(\d+)/.exec(range ?? "=0")?.[1]);
        const wanted = isResumed ? ["0", `${MiB}`, `${2 * MiB}`] : ["0", "0", "0"];
        assert.deepEqual(from, wanted);
        assert.equal(transfer.progress.wireBytes > FILE.byteLength, !isResumed);
      });
    });

    test(`http file: another process, with ${name}, ${isResumed ? "goes on" : "starts over"}`, () =>
      withWebServer({ bytes: FILE, ...web }, async (server) => {
        const sink = new MemorySink(createDescriptor("U8", [FILE.byteLength]));
        const stop = new AbortController();
        const into = () => {
          const write = MemorySink.prototype.write.bind(sink);
          sink.write = async (leaf, bytes) => {
            await write(leaf, bytes);
            if (leaf.index === 0) stop.abort(new Error("killed"));
          };
          return sink;
        };
        const first = open(server).requestFile({ into, signal: stop.signal });
        await assertRejects(() => first.done, Error, /killed/);
        const second = open(server).requestFile({ into: () => sink });
        await second.done;
        assert.isTrue(sameBytes(sink.bytes, FILE));
        assert.equal(second.progress.resumedBytes > 0, isResumed);
      }));
  }

  for (const [name, before, after] of [
    ["a strong tag", { etag: STRONG }, { etag: '"v2"' }],
    ["a weak tag", { etag: 'W/"v1"' }, { etag: 'W/"v2"' }],
    ["no tag, but another length", {}, {}],
  ] as const) {
    test(`http file: changed between two parts, by ${name}, it is noticed and begun again`, () =>
      withWebServer({ bytes: FILE, ...before }, async (server) => {
        const other =
          name === "no tag, but another length" ? safetensorsFile({ x: 3 * MiB }, 3) : OTHER;
        server.file.meddle = ({ count }, answer) => {
          if (count !== 1) return;
          answer.cutAfter = MiB + 5000;
          Object.assign(server.file, { bytes: other, ...after });
        };
        const pinned = open(server);
        const { entry } = await pinned.describe();
        const transfer = pinned.requestFile({ into: "memory", version: entry.version });
        const error = await assertRejects(() => transfer.done, IntegrityError, /changed while/);
        assert.equal(error.where, "source");
        assert.isTrue(sameBytes((await fetched(server)).bytes, other));
      }));
  }

  test("http file: an answer of another version is not taken, whatever it says it is a part of", async () => {
    const other: WebFile["meddle"] = ({ count }, answer) => {
      if (count > 0) answer.headers.etag = '"v2"';
    };
    await withWebServer({ bytes: FILE, etag: STRONG, meddle: other }, async (server) => {
      const file = open(server);
      const { entry } = await file.describe();
      const { done } = file.requestFile({ into: "memory", version: entry.version });
      await assertRejects(() => done, IntegrityError, /changed/);
    });
  });

  test("http file: the beginning that is known is held to, where nothing tells versions apart", () =>
    withWebServer({ bytes: FILE }, async (server) => {
      const file = open(server);
      const { entry } = await file.describe();
      const renamed = FILE.slice();
      renamed[20] = (renamed[20] as number) ^ 1; // of the same length, without a date
      server.file.bytes = renamed;
      const { done } = file.requestFile({ into: "memory", version: entry.version });
      await assertRejects(() => done, IntegrityError, /changed/);
    }));

  test("http file: another part than was asked for is refused", async () => {
    const ranges = (text: string): Partial<WebFile> => ({
      meddle: ({ count }, answer) => {
        if (count > 0) answer.headers["content-range"] = text;
      },
    });
    const last = FILE.byteLength - 1;
    await fails(ranges(`bytes 1-${last}/${FILE.byteLength}`), ProtocolError, /was given 1 to/);
    await fails(ranges(`bytes 0-${last - 1}/${FILE.byteLength}`), ProtocolError, /was given 0 to/);
    for (const text of ["", "bytes */5", "bytes 5-1/9", "rows 0-1/2"]) {
      await fails(ranges(text), ProtocolError, /not which/);
    }
    const unsaid: WebFile["meddle"] = (_, answer) => {
      answer.headers["content-range"] = "bytes 0-7/*";
    };
    await fails({ meddle: unsaid }, ProtocolError, /how long/);
  });

  test("http file: a length that lies short or long does not pass", async () => {
    const short: WebFile["meddle"] = ({ count }, answer) => {
      if (count === 0) return;
      answer.headers["content-length"] = "1000";
      answer.body = answer.body.subarray(0, 1000);
    };
    await fails({ meddle: short }, ProtocolError, /take 1000 bytes/);
    const cut: WebFile["meddle"] = ({ count }, answer) => {
      if (count > 0) answer.cutAfter = 1000;
    };
    await fails({ meddle: cut }, RetryExhaustedError, /link .* failed|ended after/);
    const unsaid: WebFile["meddle"] = ({ count }, answer) => {
      if (count === 0) return;
      delete answer.headers["content-length"]; // chunked: ends where it ends
      answer.body = answer.body.subarray(0, 1000);
    };
    await fails({ meddle: unsaid }, RetryExhaustedError, /ended after 1000 bytes/);
  });

  test("http file: a body that never ends is read to the length that was asked for", async () => {
    let sentBytes = 0;
    const answer: WebFile["answer"] = ({ count }, outgoing) => {
      if (count === 0) return false;
      outgoing.writeHead(206, {
        etag: STRONG,
        "content-range": `bytes 0-${FILE.byteLength - 1}/${FILE.byteLength}`,
      });
      outgoing.write(FILE);
      const more = new Uint8Array(MiB);
      const goOn = (error?: Error | null) => {
        if (error || outgoing.destroyed || outgoing.socket?.destroyed !== false) return;
        sentBytes += more.byteLength;
        outgoing.write(more, goOn);
      };
      goOn();
      return true;
    };
    await withWebServer({ bytes: FILE, etag: STRONG, answer }, async (server) => {
      const found = await fetched(server).then(
        ({ bytes }) => sameBytes(bytes, FILE),
        // Where more of it had come already by the end, that is told.
        (error) => error instanceof ProtocolError,
      );
      assert.isTrue(found);
      assert.isBelow(sentBytes, 256 * MiB);
    });
  });

  test("http file: what comes encoded is refused", () =>
    fails({ meddle: (_, answer) => gzip(answer) }, ProtocolError, /encoded as gzip/));

  test("http file: a header is held to its limit, and to the file, before memory is taken for it", async () => {
    const huge = new Uint8Array(100);
    new DataView(huge.buffer).setBigUint64(0, 50_000_000n, true);
    const meddle: WebFile["meddle"] = (_, answer) => {
      answer.headers["content-range"] = "bytes 0-65535/60000000";
      answer.headers["content-length"] = "65536";
    };
    const limits = { maxSafetensorsHeaderBytes: 1_000_000 };
    await fails({ bytes: huge, meddle }, LimitError, /1000000/, { limits });
    await fails({ bytes: huge }, FormatError, /truncated/);
    await fails({ bytes: new TextEncoder().encode("<!doctype html>") }, FormatError, /truncated/);
    await fails({ bytes: FILE.subarray(0, FILE.byteLength - 1) }, FormatError, /missing/);
    await fails({}, LimitError, /may take 1000 bytes/, { limits: { maxTensorBytes: 1000 } });
  });

  test("http file: a header longer than the first part is asked for by itself", () => {
    const lengths = Object.fromEntries(
      Array.from({ length: 2000 }, (_, n) => [`layers.${n}.weight`, 8]),
    );
    const bytes = safetensorsFile(lengths);
    return withWebServer({ bytes, etag: STRONG }, async (server) => {
      const file = open(server);
      assert.equal((await file.describe()).tensors, 2000);
      assert.equal(server.asked.length, 2);
      server.file.hasRanges = false;
      assert.equal((await open(server).describe()).tensors, 2000);
      assert.equal(server.asked.length, 3);
    });
  });

  for (const status of [429, 503]) {
    test(`http file: told ${status}, it waits as long as it is asked to, within bounds`, () => {
      const waits: number[] = [];
      const clock = {
        now: () => 0,
        after(delayMs: number, callback: () => void) {
          if (delayMs === 60_000 / 4) return () => {}; // the watchdog
          waits.push(delayMs);
          queueMicrotask(callback);
          return () => {};
        },
      };
      const asks: Record<string, string>[] = [
        { "retry-after": "7" },
        { "retry-after": "86400" },
        { "retry-after": "Wed, 25 Nov 2026 12:00:09 GMT", date: "Wed, 25 Nov 2026 12:00:00 GMT" },
      ];
      const answer: WebFile["answer"] = ({ count }, outgoing) => {
        const headers = asks[count];
        if (!headers) return false;
        outgoing.writeHead(status, headers).end("later");
        return true;
      };
      return withWebServer({ bytes: FILE, etag: STRONG, answer }, async (server) => {
        const { transfer } = await fetched(server, { clock });
        assert.deepEqual(waits, [7000, 60_000, 9000]);
        assert.equal(transfer.progress.retries, 3);
      });
    });
  }

  test("http file: a server that says nothing more is given up by the watchdog, and asked again", async () => {
    const answer: WebFile["answer"] = ({ count }, outgoing) => {
      if (count !== 1) return false;
      const total = FILE.byteLength;
      const range = `bytes 0-${total - 1}/${total}`;
      outgoing.writeHead(206, { etag: STRONG, "content-range": range, "content-length": total });
      outgoing.write(FILE.subarray(0, MiB + 1000));
      return true; // and never anything more
    };
    await withWebServer({ bytes: FILE, etag: STRONG, answer }, async (server) => {
      const { bytes, transfer } = await fetched(server, { limits: { stallTimeoutMs: 200 } });
      assert.isTrue(sameBytes(bytes, FILE));
      assert.equal(transfer.progress.retries, 1);
      assert.equal(server.ranges.at(-1), `bytes=${MiB}-${FILE.byteLength - 1}`);
    });
  });

  test("http file: a slow drip is progress, however long it takes in all", async () => {
    // The watchdog is looked at between all pieces; only what it waits for counts.
    let now = 0;
    const looks = new Set<() => void>();
    const clock = {
      now: () => now,
      after(_: number, callback: () => void) {
        looks.add(callback);
        return () => looks.delete(callback);
      },
    };
    const tick = () => {
      now += 50_000; // of the 60 s that one piece may take
      for (const look of [...looks]) {
        looks.delete(look);
        look();
      }
    };
    const bytes = safetensorsFile({ w: 40 });
    const fetchDrip = async () => {
      let at = 0;
      const body = new ReadableStream<Uint8Array>(
        {
          pull(controller) {
            tick();
            controller.enqueue(bytes.slice(at, ++at));
            if (at === bytes.byteLength) controller.close();
          },
        },
        { highWaterMark: 0 },
      );
      return new Response(body, { headers: { "content-length": `${bytes.byteLength}` } });
    };
    const file = new HttpSafetensors("http://drip.example/x.safetensors", {
      fetch: fetchDrip,
      clock,
    });
    const found = await file.requestFile({ into: "memory" }).bytes();
    assert.isTrue(sameBytes(found, bytes));
    assert.isAbove(now, 40 * 50_000);
  });

  test("http file: redirects are followed, the token to no other origin", () =>
    withWebServer({ bytes: FILE, etag: STRONG }, (far) =>
      withWebServer({ bytes: FILE, etag: STRONG }, async (near) => {
        near.file.answer = ({ url }, outgoing) => {
          const location = url.startsWith("/models") ? "/elsewhere" : `${far.url}?signed=1`;
          outgoing.writeHead(302, { location }).end();
          return true;
        };
        const { bytes } = await fetched(near, { token: "s3cret" });
        assert.isTrue(sameBytes(bytes, FILE));
        assert.isTrue(near.asked.every(({ authorization }) => authorization === "Bearer s3cret"));
        assert.isTrue(far.asked.every(({ authorization }) => authorization === undefined));
        assert.deepEqual(far.ranges, [FIRST, WHOLE]);
        // Back at the first origin it is not said again: whoever redirects there is not known.
        far.file.answer = (_, outgoing) => {
          outgoing.writeHead(307, { location: `${near.origin}/back` }).end();
          return true;
        };
        near.asked.length = 0;
        near.file.answer = ({ url }, outgoing) => {
          if (url === "/back") return false;
          outgoing.writeHead(302, { location: far.url }).end();
          return true;
        };
        await fetched(near, { token: "s3cret" });
        const back = near.asked.filter(({ url }) => url === "/back");
        assert.isTrue(back.length > 0 && back.every(({ authorization }) => !authorization));
      }),
    ));

  test("http file: redirects in a circle, to nowhere and to other things are refused", async () => {
    for (const [location, message] of [
      ["/models/tiny.safetensors", /more than 5 times/],
      ["file:///etc/passwd", /where it may not/],
      ["http://[", /where it may not/],
    ] as const) {
      const answer: WebFile["answer"] = (_, outgoing) => {
        outgoing.writeHead(302, { location }).end();
        return true;
      };
      await fails({ answer }, ProtocolError, message);
    }
  });

  test("http file: a failure names no query, which may be a signature", () =>
    withWebServer(
      { bytes: FILE, answer: (_, outgoing) => Boolean(outgoing.writeHead(404).end()) },
      async (server) => {
        const file = new HttpSafetensors(`${server.url}?X-Signature=s3cret`);
        const error = await assertRejects(() => file.describe(), NotFoundError, /404/);
        assert.notInclude(error.message, "s3cret");
      },
    ));

  test("http file: what is here already is compared where its version is not known, and not written", () =>
    withWebServer({ bytes: FILE, etag: STRONG }, async (server) => {
      const { bytes } = await fetched(server);
      const leaves = await Promise.all(
        [0, 1, 2].map(async (index) => ({
          index,
          digest: new Uint8Array(
            await crypto.subtle.digest("SHA-256", bytes.slice(index * MiB, (index + 1) * MiB)),
          ),
        })),
      );
      let kept = -1;
      const refuse = () => Promise.reject(new TypeError("nothing is to be written"));
      const sink = {
        held: async () => ({ version: new Uint8Array(), leaves }),
        begin: async (_: Uint8Array, keep: readonly unknown[]) => {
          kept = keep.length;
        },
        write: refuse,
        commit: async () => {},
        release: async () => {},
      };
      await open(server).requestFile({ into: () => sink }).done;
      assert.equal(kept, 3);
      server.file.bytes = OTHER;
      server.file.etag = '"v2"';
      await assertRejects(
        () => open(server).requestFile({ into: () => sink }).done,
        TypeError,
        /written/,
      );
      assert.equal(kept, 0);
    }));

  test("http file: only the URL of a file on a web server is taken", () => {
    for (const url of [
      "ftp://host/x.safetensors",
      "http://user:pass@host/x.safetensors",
      "http://host/",
      "x",
    ]) {
      assert.throws(() => new HttpSafetensors(url), TypeError);
    }
    assert.equal(new HttpSafetensors("https://h/a%20b.safetensors?x=1#y").name, "a b");
    assert.equal(new HttpSafetensors("https://h/UP.SAFETENSORS").name, "UP");
  });
};
