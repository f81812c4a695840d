import { assert } from "chai";
import type { SlowLink } from "../../lib/cli/slow_link.ts";
import type { Suite } from "../harness.ts";
import type { HeadraceProcess, JsonEvent } from "./support/headrace_process.ts";
import { doneOf, errorOf, type LabServer, withLab } from "./support/lab.ts";
import {
  assertSameFolder,
  finalNames,
  type ModelPlan,
  modelBytes,
  randomNumbers,
} from "./support/model.ts";

const MiB = 1024 * 1024;
/** Tensors of four leaves and the beginning of a fifth. */
const PLAN: ModelPlan = { shards: 3, tensors: 4, tensorBytes: 4 * MiB + 4321, seed: 3 };
const BYTES_PER_SECOND = 48 * MiB;
/** What all cuts together may cost beside what was in flight. */
const MOST_RESENT_BYTES = 16 * MiB;
/** Headers, side files and frames of one run. */
const MOST_OTHER_BYTES = 256 * 1024;

/** Waits until so many connections of a server are over, and tells what each of them was sent. */
async function sentBytesOf(server: LabServer, connections: number): Promise<number[]> {
  const ends = () => server.process.events.filter(({ event }) => event === "connection");
  await server.process.event("connection", () => ends().length >= connections);
  return ends().map((end: JsonEvent) => end.sentBytes as number);
}

/** Waits until `bytes` more have come through the link to a pull; tells how many have in all. */
async function more(link: SlowLink, bytes: number, pull: HeadraceProcess): Promise<number> {
  const ended = pull.exit.then(({ stdout, stderr }) => {
    throw new Error(`The pull ended before it was to be cut:\n${stdout}${stderr}`);
  });
  await Promise.race([link.passed(link.passedBytes + bytes), ended]);
  return link.passedBytes;
}

export const pullKilledSuite: Suite = ({ test }) => {
  test("headrace pull: killed again and again at any byte, it goes on from what was verified", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const server = await lab.serve([source]);
      const link = await lab.slowLink(server.url, BYTES_PER_SECOND);
      const out = lab.path("out");
      const pull = ["pull", `${link.url}/llama`, "-o", out];
      const random = randomNumbers(20);
      /** What had come through the link when each run ended. */
      const arrived: number[] = [];
      const cuts = 5;
      for (let cut = 0; cut < cuts; cut++) {
        const before = link.passedBytes;
        const killed = lab.start(pull);
        // The first cut may fall into the headers, and none into what the last run has to do.
        await more(link, Math.floor(random() ** 2 * 14 * MiB), killed);
        await killed.kill();
        arrived.push(link.passedBytes - before);
        assert.isEmpty(await finalNames(out));
      }
      const done = doneOf(await lab.run(pull));
      await assertSameFolder(out, source);
      const sent = await sentBytesOf(server, cuts + 1);
      let sentBytes = 0;
      let allowedBytes = modelBytes(PLAN) + MOST_RESENT_BYTES + MOST_OTHER_BYTES;
      for (const [run, bytes] of sent.entries()) {
        sentBytes += bytes;
        if (run === cuts) break;
        allowedBytes += bytes - (arrived[run] as number); // what was in flight
      }
      assert.isAtLeast(sentBytes, modelBytes(PLAN));
      assert.isAtMost(sentBytes, allowedBytes, `${sent} sent, ${arrived} arrived`);
      assert.isAtLeast(done.resumedBytes as number, 1);
    }));

  test("headrace pull: the server killed and started again, it goes on by itself", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const first = await lab.serve([source]);
      const link = await lab.slowLink(first.url, BYTES_PER_SECOND);
      const out = lab.path("out");
      const environment = { OLLAMA_TENSOR_RETRY_DELAY: "100", OLLAMA_TENSOR_MAX_RETRIES: "20" };
      const pull = lab.start(["pull", `${link.url}/llama`, "-o", out], { environment });
      let server = first;
      for (const bytes of [11 * MiB, 13 * MiB]) {
        await more(link, bytes, pull);
        await server.process.kill();
        assert.isEmpty(await finalNames(out));
        server = await lab.serve([source, "--listen", first.url]);
        assert.equal(server.url, first.url);
      }
      const done = doneOf(await pull.exit);
      await assertSameFolder(out, source);
      const resentBytes = (done.wireBytes as number) - modelBytes(PLAN);
      assert.isAtMost(resentBytes, MOST_RESENT_BYTES + MOST_OTHER_BYTES);
      assert.isAtLeast(done.retries as number, 2);
    }));

  test("headrace serve: Ctrl-C ends it amid a transfer, which goes on with the one that follows", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const server = await lab.serve([source]);
      const link = await lab.slowLink(server.url, BYTES_PER_SECOND);
      const out = lab.path("out");
      const environment = { OLLAMA_TENSOR_RETRY_DELAY: "100", OLLAMA_TENSOR_MAX_RETRIES: "20" };
      const pull = lab.start(["pull", `${link.url}/llama`, "-o", out], { environment });
      await more(link, 11 * MiB, pull);
      server.process.signal("SIGINT");
      assert.equal(errorOf(await server.process.exit, 130).code, "interrupted");
      assert.isEmpty(await finalNames(out));
      await lab.serve([source, "--listen", server.url]);
      const done = doneOf(await pull.exit);
      assert.isAtLeast(done.retries as number, 1);
      await assertSameFolder(out, source);
    }));

  test("headrace pull: the server back on another port, the same pull of the new URL goes on", () =>
    withLab(async (lab) => {
      const source = await lab.model("llama", PLAN);
      const first = await lab.serve([source]);
      const link = await lab.slowLink(first.url, BYTES_PER_SECOND);
      const out = lab.path("out");
      const environment = { OLLAMA_TENSOR_RETRY_DELAY: "1", OLLAMA_TENSOR_MAX_RETRIES: "2" };
      const cut = lab.start(["pull", `${link.url}/llama`, "-o", out], { environment });
      const arrivedBytes = await more(link, 30 * MiB, cut);
      await first.process.kill();
      const error = errorOf(await cut.exit);
      assert.equal(error.code, "retry_exhausted");
      assert.isEmpty(await finalNames(out));
      const second = await lab.serve([source]);
      assert.notEqual(second.url, first.url);
      const done = doneOf(await lab.run(["pull", `${second.url}/llama`, "-o", out]));
      await assertSameFolder(out, source);
      const allowedBytes = modelBytes(PLAN) - arrivedBytes + MOST_RESENT_BYTES + MOST_OTHER_BYTES;
      const [sentBytes = 0] = await sentBytesOf(second, 1);
      assert.isAtMost(sentBytes, allowedBytes);
      assert.isAtLeast(done.resumedBytes as number, arrivedBytes - MOST_RESENT_BYTES);
    }));
};
