import { describeError } from "./describe_error.ts";
import { type Bar, createBar } from "./progress_bar.ts";
import { print } from "./stdout.ts";
import { progressLine, type WorkProgress } from "./work_progress.ts";

/** A line of `--json` output. */
export interface ReportEvent {
  readonly event: string;
  readonly [key: string]: unknown;
}

/** Tells the person, or with `--json` the program, what a command does. */
export interface Report {
  /** A line for a program, and the same in words for a person. */
  event(event: ReportEvent, words?: string): void;
  /** Called as often as one likes; shown as often as is useful. */
  progress(progress: WorkProgress): void;
  /** A failure, in one line. */
  failure(error: unknown): void;
  /** Leaves the terminal as it was. */
  close(): void;
}

const PIPED_INTERVAL_MS = 3_000;
const JSON_INTERVAL_MS = 500;

/** @param json Whether stdout is for programs: JSON lines, and nothing else. */
export function createReport(json: boolean): Report {
  return json ? new JsonReport() : new WordsReport();
}

class JsonReport implements Report {
  #shownAt = Number.NEGATIVE_INFINITY;

  event(event: ReportEvent): void {
    print(`${JSON.stringify(event)}\n`);
  }

  progress(progress: WorkProgress): void {
    const now = performance.now();
    if (now - this.#shownAt < JSON_INTERVAL_MS) return;
    this.#shownAt = now;
    this.event({ event: "progress", ...progress });
  }

  failure(error: unknown): void {
    this.event({ event: "error", ...describeError(error) });
  }

  close(): void {}
}

class WordsReport implements Report {
  #bar: Bar | undefined;
  #shownAt = Number.NEGATIVE_INFINITY;

  event(_event: ReportEvent, words?: string): void {
    if (words === undefined) return;
    this.#bar?.clear();
    print(`${words}\n`);
  }

  progress(progress: WorkProgress): void {
    if (process.stderr.isTTY) {
      this.#bar ??= createBar();
      this.#bar.show(progress);
      return;
    }
    const now = performance.now();
    if (now - this.#shownAt < PIPED_INTERVAL_MS) return;
    this.#shownAt = now;
    process.stderr.write(`${progressLine(progress)}\n`);
  }

  failure(error: unknown): void {
    this.close();
    process.stderr.write(`headrace: ${describeError(error).message}\n`);
  }

  close(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}
