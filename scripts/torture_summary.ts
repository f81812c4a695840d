// What many runs of the torture come to.
import type { RunReport } from "../tests/testing/torture/run_scenario.ts";
import type { Scenario } from "../tests/testing/torture/scenario.ts";

const MiB = 1024 * 1024;

/** Counts of what has names. */
class Tally {
  readonly #counts = new Map<string, number>();

  add(name: string, by = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + by);
  }

  /** A line for each, the most frequent first. */
  toString(): string {
    return [...this.#counts]
      .sort(([, one], [, other]) => other - one)
      .map(([name, count]) => `\n  ${count} ${name}`)
      .join("");
  }
}

/** Adds up the reports of runs. */
export class TortureSummary {
  readonly failedSeeds: number[] = [];
  readonly #transports = new Tally();
  readonly #totals = new Tally();
  readonly #faults = new Tally();
  readonly #outcomes = new Tally();
  readonly #linkErrors = new Tally();
  #slowestSeed = 0;
  #slowestMs = 0;

  add({ seed, transport }: Scenario, report: RunReport, elapsedMs: number): void {
    this.#transports.add(transport);
    for (const { kind } of report.happened) this.#faults.add(kind);
    for (const outcome of report.outcomes) this.#outcomes.add(outcome);
    for (const error of report.linkErrors) this.#linkErrors.add(error);
    this.#totals.add("transfers", report.outcomes.length);
    this.#totals.add("connections", report.connections);
    this.#totals.add("retries", report.retries);
    this.#totals.add("MiB moved", Math.round(report.movedBytes / MiB));
    if (report.problems.length > 0) this.failedSeeds.push(seed);
    if (elapsedMs <= this.#slowestMs) return;
    this.#slowestMs = elapsedMs;
    this.#slowestSeed = seed;
  }

  toString(): string {
    return [
      `runs:${this.#transports}`,
      `totals:${this.#totals}`,
      `faults that happened:${this.#faults}`,
      `transfers ended:${this.#outcomes}`,
      `connections ended, at the accepting end, by:${this.#linkErrors}`,
      `slowest: seed ${this.#slowestSeed}, ${(this.#slowestMs / 1000).toFixed(1)} s`,
    ].join("\n");
  }
}
