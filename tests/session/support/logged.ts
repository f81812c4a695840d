import { configure, type LogRecord, reset } from "@logtape/logtape";
import { deferred } from "../../../lib/deferred.ts";
import { EventLog } from "../../../lib/log.ts";

/** Everything that is logged meanwhile, whatever its level. */
export async function logged(body: () => Promise<void>): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  const listening = deferred<void>();
  await configure({
    reset: true,
    sinks: {
      memory: (record) => {
        if (record.category[1] === "test") listening.resolve();
        else records.push(record);
      },
    },
    loggers: [
      { category: "headrace", lowestLevel: "trace", sinks: ["memory"] },
      { category: ["logtape", "meta"], lowestLevel: "fatal", sinks: [] },
    ],
  });
  try {
    // The first of a program waits until LogTape is loaded.
    new EventLog("test").event("listening", () => ({}));
    await listening.promise;
    records.length = 0;
    await body();
  } finally {
    await reset();
  }
  return records;
}
