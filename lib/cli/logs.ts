import { configure, type LogRecord } from "@logtape/logtape";
import type { LogLevel } from "../config/settings.ts";

/** Sends the library's logs to stderr, from this level on. */
export async function configureLogs(level: LogLevel): Promise<void> {
  if (level === "off") return;
  await configure({
    reset: true,
    sinks: { stderr: (record: LogRecord) => void process.stderr.write(`${lineOf(record)}\n`) },
    loggers: [
      { category: "headrace", lowestLevel: level, sinks: ["stderr"] },
      { category: ["logtape", "meta"], lowestLevel: "fatal", sinks: [] },
    ],
  });
}

function lineOf(record: LogRecord): string {
  const time = new Date(record.timestamp).toISOString();
  const message = record.message
    .map((part) => (typeof part === "string" ? part : String(part)))
    .join("")
    .replace(/\p{Cc}+/gu, " ");
  return `${time} ${record.level} ${record.category.slice(1).join(".")}: ${message}`;
}
