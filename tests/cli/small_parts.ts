import { assert } from "chai";
import { defineVerb, valuesOf } from "../../lib/cli/command.ts";
import {
  describeError,
  exitCodeOf,
  Interrupted,
  UsageError,
} from "../../lib/cli/describe_error.ts";
import { formatBytes, formatCount, formatSeconds } from "../../lib/cli/format.ts";
import { inParallel } from "../../lib/cli/in_parallel.ts";
import { checkListening, checkSecrets } from "../../lib/cli/listen_policy.ts";
import { isOwnFault } from "../../lib/cli/logged_store.ts";
import { parsePeerUrl } from "../../lib/cli/peer_url.ts";
import { parsePriority } from "../../lib/cli/priority.ts";
import { isSameToken } from "../../lib/cli/token.ts";
import { deferred } from "../../lib/deferred.ts";
import { ConfigError, NotFoundError, StorageError, TransportError } from "../../lib/errors.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";

export const smallPartsSuite: Suite = ({ test }) => {
  test("command line: a peer's URL gives where to dial and what is meant", () => {
    assert.deepEqual(parsePeerUrl("tcp://127.0.0.1:12094"), {
      url: "tcp://127.0.0.1:12094",
      pattern: { model: "*", partition: "*", tensor: "*" },
    });
    assert.deepEqual(parsePeerUrl("tls://[::1]:9/gpt2/a%2Fb/h.*"), {
      url: "tls://[::1]:9",
      pattern: { model: "gpt2", partition: "a%2Fb", tensor: "h.*" },
    });
    // A name may be "..": it must not be resolved away.
    assert.equal(parsePeerUrl("tcp://host:1/m/../t").pattern.partition, "..");
    for (const wrong of ["", "host:1", "http://host", "tcp://host:1/a/b/c/d", "tcp://h:1/%zz"]) {
      assert.throws(() => parsePeerUrl(wrong), UsageError);
    }
  });

  test("command line: listening off loopback needs a token, and a token off loopback TLS", () => {
    const open = { hasToken: false, insecure: false };
    const token = { hasToken: true, insecure: false };
    for (const url of [
      "tcp://127.0.0.1:0",
      "tcp://127.9.9.9:1",
      "tcp://localhost:1",
      "tcp://[::1]:1",
    ]) {
      checkListening(url, open);
    }
    for (const url of [
      "tcp://0.0.0.0:1",
      "tcp://[::]:1",
      "tls://example.org:1",
      "tcp://127.0.0.1.evil:1",
    ]) {
      assert.throws(() => checkListening(url, open), UsageError, /--token-file/);
      checkListening(url, { hasToken: false, insecure: true });
    }
    assert.throws(() => checkListening("tcp://0.0.0.0:1", token), UsageError, /tls:\/\//);
    checkListening("tls://0.0.0.0:1", token);
    assert.throws(() => checkListening("udp://127.0.0.1:1", open), UsageError);
    for (const wrong of ["tcp://:7000", "tcp://[::1:80", "tcp://host name:1"]) {
      assert.throws(() => checkListening(wrong, open), UsageError, /write tcp:\/\/HOST:PORT/);
    }
    for (const behind of ["/some/path", "?x", "#sha256=0"]) {
      const url = `http://127.0.0.1:1${behind}`;
      assert.throws(() => checkListening(url, open), UsageError, /behind the port/);
    }
  });

  test("command line: a secret is not served with the folder it lies in", () => {
    checkSecrets([undefined, "elsewhere/token"], ["models/gpt2"]);
    assert.throws(() => checkSecrets(["models/gpt2/token.txt"], ["models/gpt2/"]), UsageError);
    assert.throws(() => checkSecrets(["./key.pem"], ["."]), UsageError, /key\.pem/);
  });

  test("command line: priorities are names or 0 to 255", () => {
    assert.deepEqual(
      [parsePriority(), parsePriority("low"), parsePriority("critical"), parsePriority("255")],
      [50, 0, 200, 255],
    );
    for (const wrong of ["256", "-1", "1.5", "urgent", ""]) {
      assert.throws(() => parsePriority(wrong), UsageError);
    }
  });

  test("command line: options are held to what the verb knows", async () => {
    const seen: unknown[] = [];
    const verb = defineVerb({
      name: "probe",
      description: "a probe",
      args: {
        path: { type: "positional", required: true, description: "a path" },
        output: { type: "string", alias: "o", description: "an output" },
        json: { type: "boolean", description: "as JSON" },
      },
      run: async (args) => void seen.push([args.path, args.output, args.json ?? false]),
    });
    await verb.run(["a", "-o", "b", "--json"]);
    await verb.run(["--output=b", "a"]);
    await verb.run(["--", "-a"]);
    assert.deepEqual(seen, [
      ["a", "b", true],
      ["a", "b", false],
      ["-a", undefined, false],
    ]);
    for (const [wrong, why] of [
      [[], /PATH/],
      [["a", "b"], /one word too many/],
      [["a", "--outptu", "b"], /Unknown option --outptu/],
      [["a", "--out", "b"], /did you mean --output/],
      [["a", "-output", "b"], /Unknown option -output/],
      [["a", "-o"], /needs a value/],
      [["a", "-o", "--json"], /needs a value/],
    ] as const) {
      assert.throws(() => void verb.run(wrong), UsageError, why);
    }
    assert.deepEqual(
      valuesOf(["--listen", "a", "x", "--listen=b", "--", "--listen", "c"], "listen"),
      ["a", "b"],
    );
  });

  test("command line: exit codes tell done, failed, misused and interrupted apart", () => {
    const codes = [
      new NotFoundError("x"),
      new ConfigError("x"),
      new UsageError("x"),
      new Interrupted(),
      new Error("x"),
    ].map(exitCodeOf);
    assert.deepEqual(codes, [1, 2, 2, 130, 1]);
    const { message } = describeError(new NotFoundError("a\u001b[2Jb\nc"));
    assert.equal(message, "a [2Jb c", "what a peer says cannot drive the terminal");
  });

  test("command line: a server's own faults are told from what others do to it", () => {
    const own = [new TypeError("a fault in the code"), new StorageError("the disk is full")];
    const others = [new NotFoundError("x"), new TransportError("cut"), new Interrupted()];
    const cancelled = new DOMException("The transfer was cancelled", "AbortError");
    assert.deepEqual(own.map(isOwnFault), [true, true]);
    assert.deepEqual([...others, cancelled].map(isOwnFault), [false, false, false, false]);
    assert.equal(describeError(cancelled).code, "cancelled");
  });

  test("command line: sizes and times are shown with three digits", () => {
    assert.deepEqual(
      [0, 1, 2].map((count) => formatCount(count, "tensor")),
      ["0 tensors", "1 tensor", "2 tensors"],
    );
    assert.deepEqual([0, 999, 999_499, 1_500_000_000, 999_999_999_999_999].map(formatBytes), [
      "0 B",
      "999 B",
      "999 kB",
      "1.50 GB",
      "1.00 PB",
    ]);
    assert.deepEqual([1, 61_000, 7_800_000].map(formatSeconds), [
      "1 s",
      "1 min 01 s",
      "2 h 10 min",
    ]);
  });

  test("command line: work goes on in parallel within a count and a number of bytes", async () => {
    const running = new Set<number>();
    const releases = new Map<number, () => void>();
    let most = 0;
    let mostBytes = 0;
    const all = inParallel(
      [5, 5, 5, 20, 1, 1],
      (n) => n,
      { most: 2, mostBytes: 10 },
      (bytes) => {
        const id = releases.size;
        running.add(id);
        most = Math.max(most, running.size);
        mostBytes = Math.max(mostBytes, bytes);
        const done = deferred<void>();
        releases.set(id, () => {
          running.delete(id);
          done.resolve();
        });
        return done.promise;
      },
    );
    for (let id = 0; id < 6; id++) {
      while (!releases.has(id)) await Promise.resolve();
      if (id === 3) assert.equal(running.size, 1, "an item over the bound runs by itself");
      releases.get(id)?.();
    }
    await all;
    assert.deepEqual([most, mostBytes], [2, 20]);
  });

  test("command line: the first failure ends parallel work, after what runs has ended", async () => {
    const ended: number[] = [];
    const fault = new Error("second");
    const failing = inParallel(
      [1, 2, 3, 4],
      () => 0,
      { most: 2, mostBytes: 1 },
      async (n) => {
        if (n === 2) throw fault;
        await Promise.resolve();
        ended.push(n);
      },
    );
    await assertRejects(() => failing, Error, /second/);
    assert.notInclude(ended, 4);
    assert.include(ended, 1);
  });

  test("command line: tokens are compared whole", () => {
    assert.isTrue(isSameToken("secret", "secret"));
    for (const wrong of [undefined, "", "secre", "secret ", "Secret", "x".repeat(5000)]) {
      assert.isFalse(isSameToken("secret", wrong));
    }
  });
};
