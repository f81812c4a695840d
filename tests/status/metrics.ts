// The metrics as a parser of somebody else's reads them.
import { assert } from "chai";
import parse from "parse-prometheus-text-format";
import { formatMetrics } from "../../lib/status/metrics.ts";
import { VERSION } from "../../lib/version.ts";
import type { Suite } from "../harness.ts";
import { turn } from "../transports/conformance.ts";
import { ShownNode } from "./support.ts";

type Labels = Readonly<Record<string, string>>;

/** The value of the one sample with these labels. */
function sampleOf(text: string, name: string, labels: Labels = {}): number {
  const family = parse(text).find((one) => one.name === `headrace_${name}`);
  const wanted = Object.entries(labels);
  const found = (family?.metrics ?? []).filter((one) =>
    wanted.every(([label, value]) => one.labels?.[label] === value),
  );
  assert.equal(found.length, 1, `${name} ${JSON.stringify(labels)}`);
  return Number(found[0]?.value);
}

export const metricsSuite: Suite = ({ test }) => {
  test("metrics: what is answered by HTTP is counted beside what peers move", async () => {
    const node = new ShownNode(1);
    const [whole, cut, live] = [1, 2, 3].map(() => node.registry.responses.begin());
    for (const body of [whole, cut, live]) body?.gave(1000);
    whole?.over(true);
    cut?.over(false);
    cut?.over(true);
    const text = await (await node.fetch("/metrics")).text();
    assert.equal(sampleOf(text, "http_responses"), 1);
    assert.equal(sampleOf(text, "http_responses_ended_total", { status: "complete" }), 1);
    assert.equal(sampleOf(text, "http_responses_ended_total", { status: "cut" }), 1);
    assert.equal(sampleOf(text, "http_response_bytes_total"), 3000);
    assert.equal(sampleOf(text, "connection_bytes_total", { direction: "in" }), 0);
    await node.close();
  });

  test("metrics: counters say to the byte what the transfers have reported", async () => {
    const node = new ShownNode(4);
    const transfers = await node.ask();
    const read = async () => (await node.fetch("/metrics")).text();
    const before = await read();
    assert.equal(sampleOf(before, "connections", { transport: "memory" }), 1);
    const phases = ["connecting", "moving", "verifying", "retrying", "paused"];
    const live = phases.map((phase) => sampleOf(before, "transfers", { direction: "out", phase }));
    assert.equal(
      live.reduce((sum, one) => sum + one, 0),
      4,
    );
    transfers[3]?.cancel();
    node.letGo();
    await Promise.allSettled(transfers.map(({ done }) => done));
    while (node.registry.transfers.length > 0) await turn();
    const text = await read();
    const out = { direction: "out" };
    const ended = (status: string) => sampleOf(text, "transfers_ended_total", { ...out, status });
    assert.equal(ended("complete"), 3);
    assert.equal(ended("cancelled"), 1);
    const { recent } = node.registry;
    const sum = (
      name: "bytes" | "wireBytes" | "rawBytes" | "chunks" | "retries" | "resumedBytes",
    ) => recent.reduce((total, one) => total + one[name], 0);
    assert.equal(sampleOf(text, "verified_bytes_total", out), sum("bytes"));
    assert.equal(sum("bytes"), 3 * 200_000);
    const complete = recent.filter(({ status }) => status === "complete");
    for (const { rawBytes } of complete) assert.equal(rawBytes, 200_000);
    assert.equal(sampleOf(text, "wire_bytes_total", out), sum("wireBytes"));
    assert.equal(sampleOf(text, "raw_bytes_total", out), sum("rawBytes"));
    assert.equal(sampleOf(text, "chunks_total", out), sum("chunks"));
    assert.equal(sampleOf(text, "resumed_bytes_total", out), sum("resumedBytes"));
    assert.equal(sampleOf(text, "retries_total", out), sum("retries"));
    assert.equal(sampleOf(text, "connection_bytes_total", out), node.registry.totals().sentBytes);
    await node.close();
  });

  test("metrics: a name cannot break out of its label", async () => {
    const node = new ShownNode(0);
    const status = await node.json("/api/status");
    const name = 'a"} 1\nheadrace_evil{x="\\';
    const text = formatMetrics({ ...status, node: name });
    assert.equal(sampleOf(text, "info", { version: VERSION }), 1);
    assert.isUndefined(parse(text).find((one) => one.name === "headrace_evil"));
    assert.equal(text.split("\n").filter((line) => line.startsWith("headrace_info")).length, 1);
    await node.close();
  });
};
