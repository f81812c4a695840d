import { configure, type LogRecord, reset } from "@logtape/logtape";

/** Everything that is logged meanwhile, whatever its level. */
export async function logged(body: () => Promise<void>): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  await configure({
    reset: true,
    sinks: { memory: (record) => void records.push(record) },
    loggers: [
      { category: "headrace", lowestLevel: "trace", sinks: ["memory"] },
      { category: ["logtape", "meta"], lowestLevel: "fatal", sinks: [] },
    ],
  });
  try {
    await body();
  } finally {
    await reset();
  }
  return records;
}
