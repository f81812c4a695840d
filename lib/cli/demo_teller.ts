import type { DemoTeller } from "./demo.ts";
import { legLine } from "./demo_words.ts";
import { formatBytes } from "./format.ts";
import type { Report } from "./report.ts";
import type { Style } from "./style.ts";

const STEPS = {
  fullSpeed: "Pull",
  resumed: "Resume",
  uncompressed: "Slow, raw",
  compressed: "Slow, deflate",
} as const;

/** Tells the demo's steps as they are done: a line each, or with `--json` an event each. */
export function createTeller(report: Report, style: Style): DemoTeller {
  const line = (step: string, text: string, end = "") =>
    `${style.bold(step.padEnd(14))}${end ? text.padEnd(54) : text}${end}`.trimEnd();
  return {
    built({ tensors, files, bytes }) {
      report.event(
        { event: "built", tensors, files: files.length, bytes },
        line(
          "Build",
          `${tensors} tensors of real weights, ${formatBytes(bytes)} in ${files.length} files`,
        ),
      );
    },
    serving({ url, pid }, isAgain) {
      const text = `${isAgain ? "again, on another port: " : ""}${url}, process ${pid}`;
      report.event({ event: "serving", url, pid }, line("Serve", text));
    },
    pulled(name, leg) {
      const { elapsedMs, ...counts } = leg;
      report.event(
        { event: "pulled", leg: name, verified: true, ...counts, elapsedMs: Math.round(elapsedMs) },
        line(STEPS[name], legLine(leg), style.good("verified")),
      );
    },
    killed({ pid }, { sentBytes, elapsedMs }) {
      report.event(
        { event: "killed", pid, sentBytes, elapsedMs: Math.round(elapsedMs) },
        line("Kill", `kill -9 ${pid} when ${formatBytes(sentBytes)} had been sent`),
      );
    },
  };
}
