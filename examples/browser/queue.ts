// Which tensors are asked for next: the most urgent ones that wait, a bounded number at once.
import type { Transfer } from "headrace";
import type { Piece } from "./layout.ts";
import type { TensorState } from "./messages.ts";

/** One tensor on its way. */
export interface Job {
  readonly piece: Piece;
  priority: number;
  isPaused: boolean;
  transfer: Transfer | undefined;
  state: TensorState;
}

const AT_ONCE = 32;

/** How far a job is, in bytes that are verified. */
export function bytesOf({ state, transfer, piece }: Job): number {
  if (state === "here") return piece.entry.descriptor.byteLength;
  return transfer?.progress.bytes ?? 0;
}

/** Runs jobs until all are done; what is paused waits for as long as it is. */
export class Queue {
  readonly jobs: readonly Job[];
  readonly #run: (job: Job) => Promise<void>;
  #underWay = 0;
  readonly #done = Promise.withResolvers<void>();

  /** @param run Begins the transfer of a job and waits for its end. */
  constructor(pieces: readonly Piece[], run: (job: Job) => Promise<void>) {
    this.jobs = pieces.map((piece) => ({
      piece,
      priority: 50,
      isPaused: false,
      transfer: undefined,
      state: "waiting",
    }));
    this.#run = run;
  }

  /** Settles when every job is done, or the first has failed. */
  run(): Promise<void> {
    this.#fill();
    return this.#done.promise;
  }

  pause(job: Job, isPaused: boolean): void {
    job.isPaused = isPaused;
    if (isPaused) job.transfer?.pause();
    else job.transfer?.resume();
    this.#fill();
  }

  prioritise(job: Job, priority: number): void {
    job.priority = priority;
    if (job.transfer) job.transfer.priority = priority;
  }

  get #hasFailed(): boolean {
    return this.jobs.some(({ state }) => state === "failed");
  }

  #fill(): void {
    // Where one has failed nothing more is begun.
    if (this.#hasFailed) return;
    while (this.#underWay < AT_ONCE) {
      const next = this.#next();
      if (next === undefined) break;
      void this.#begin(next);
    }
    if (this.jobs.every(({ state }) => state === "here")) this.#done.resolve();
  }

  /** Of the most urgent, the first in the list. */
  #next(): Job | undefined {
    let best: Job | undefined;
    for (const job of this.jobs) {
      if (job.state !== "waiting" || job.isPaused) continue;
      if (best === undefined || job.priority > best.priority) best = job;
    }
    return best;
  }

  async #begin(job: Job): Promise<void> {
    this.#underWay++;
    job.state = "moving";
    try {
      await this.#run(job);
      job.state = "here";
    } catch (error) {
      // Those that are given up because of the first are no failures of their own.
      job.state = this.#hasFailed ? "waiting" : "failed";
      this.#done.reject(error);
    } finally {
      this.#underWay--;
      this.#fill();
    }
  }
}
