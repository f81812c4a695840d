import { errnoOf, storageError } from "../checkpoint/storage_error.ts";

/** What a write fails with once nobody reads any more. */
const READER_LEFT: ReadonlySet<string | undefined> = new Set(["EPIPE", "ERR_STREAM_DESTROYED"]);

const lost = new AbortController();
let isEndedByReader = false;

/** Aborted, with the error to end with, once standard output takes no more for another reason than its reader. */
export const outputLost: AbortSignal = lost.signal;

/**
 * What becomes of a command whose output nobody takes. A reader that has seen enough (`| head`) ends a command that
 * does nothing but print, which is no failure; work goes on without it, and so it does without a reader of logs.
 *
 * @param isPrinting Whether printing is all that the command does.
 */
export function tendOutput(isPrinting: boolean): void {
  isEndedByReader = isPrinting;
  process.stdout.on("error", failed);
  process.stderr.on("error", () => {});
}

/** Writes to standard output. */
export function print(text: string): void {
  try {
    process.stdout.write(text);
  } catch (error) {
    // Deno throws what other runtimes tell by an event.
    failed(error);
  }
}

/** Fulfils when all that was printed has been handed over, or cannot be. */
export async function flushOutput(): Promise<void> {
  const flush = (stream: NodeJS.WriteStream) =>
    new Promise<void>((resolve) => stream.write("", () => resolve()));
  await Promise.all([flush(process.stdout), flush(process.stderr)]);
}

function failed(error: unknown): void {
  if (READER_LEFT.has(errnoOf(error))) {
    if (isEndedByReader) process.exit(0);
    return;
  }
  if (outputLost.aborted) return;
  const failure = storageError(error, "write to", "standard output");
  process.stderr.write(`headrace: ${failure.message}\n`);
  process.exitCode = 1;
  lost.abort(failure);
}
