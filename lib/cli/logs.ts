import { configure, type LogLevel, type LogRecord } from "@logtape/logtape";
import { UsageError } from "./describe_error.ts";

const LEVELS = ["debug", "info", "warning", "error", "off"] as const;

/**
 * Sends the library's logs to stderr, from this level on.
 *
 * @throws {UsageError} for a level that is not known.
 */
export async function configureLogs(
  level: string = process.env.OLLAMA_LOG_LEVEL ?? "warning",
): Promise<void> {
  const known = LEVELS.find((one) => one === level.toLowerCase().replace(/^warn$/, "warning"));
  if (!known) throw new UsageError(`Unknown log level "${level}"; one of ${LEVELS.join(", ")}`);
  if (known === "off") return;
  await configure({
    reset: true,
    sinks: { stderr: (record: LogRecord) => void process.stderr.write(`${lineOf(record)}\n`) },
    loggers: [
      { category: "headrace", lowestLevel: known as LogLevel, sinks: ["stderr"] },
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
