import type { Transfer } from "../session/transfer.ts";
import { RateMeter } from "../tensor/progress.ts";
import type { Report } from "./report.ts";

const INTERVAL_MS = 100;

/** How far work had come. */
export interface WorkMark {
  readonly doneBytes: number;
  readonly resumedBytes: number;
}

/** Adds up many transfers and shows them as one piece of work. */
export class WorkMeter {
  readonly #report: Report;
  #rate = new RateMeter();
  readonly #running = new Set<Transfer>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #doneBytes = 0;
  #doneResumedBytes = 0;
  #doneRetries = 0;
  #what = "";
  totalBytes = 0;

  constructor(report: Report) {
    this.#report = report;
  }

  /** Work of this many bytes begins, or begins anew. */
  begin(totalBytes: number): void {
    this.totalBytes = totalBytes;
    this.#doneBytes = 0;
    this.#doneResumedBytes = 0;
    this.#rate = new RateMeter();
    this.#timer ??= setInterval(() => this.#show(), INTERVAL_MS);
  }

  /** Counts a transfer until it is over, and what it did for good. */
  add(transfer: Transfer): void {
    this.#running.add(transfer);
    this.#what = transfer.address.tensor;
    const over = (isDone: boolean) => {
      this.#running.delete(transfer);
      if (isDone) this.#doneBytes += transfer.progress.bytes;
      this.#doneResumedBytes += transfer.progress.resumedBytes;
      this.#doneRetries += transfer.progress.retries;
    };
    transfer.done.then(
      () => over(true),
      () => over(false),
    );
  }

  /** What is done by now, for `backTo`. No transfer may be under way. */
  get mark(): WorkMark {
    return { doneBytes: this.#doneBytes, resumedBytes: this.#doneResumedBytes };
  }

  /** What was done since does not count after all, and is done again. */
  backTo({ doneBytes, resumedBytes }: WorkMark): void {
    this.#doneBytes = doneBytes;
    this.#doneResumedBytes = resumedBytes;
    this.#rate = new RateMeter();
  }

  /** Bytes that need no transfer. */
  skip(bytes: number): void {
    this.#doneBytes += bytes;
  }

  /** Bytes that earlier runs had left in place. */
  get resumedBytes(): number {
    return this.#sum((transfer) => transfer.progress.resumedBytes, this.#doneResumedBytes);
  }

  /** Attempts after the first, of all transfers. */
  get retries(): number {
    return this.#sum((transfer) => transfer.progress.retries, this.#doneRetries);
  }

  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#report.close();
  }

  #sum(of: (transfer: Transfer) => number, start: number): number {
    let sum = start;
    for (const transfer of this.#running) sum += of(transfer);
    return sum;
  }

  #show(): void {
    const bytes = this.#sum((transfer) => transfer.progress.bytes, this.#doneBytes);
    this.#rate.note(performance.now(), bytes);
    const bytesPerSecond = this.#rate.perSecond;
    const etaMs = ((this.totalBytes - bytes) * 1000) / bytesPerSecond;
    this.#report.progress({
      bytes,
      totalBytes: this.totalBytes,
      bytesPerSecond,
      etaMs: Number.isFinite(etaMs) ? etaMs : undefined,
      what: this.#what,
      resumedBytes: this.resumedBytes,
      retries: this.retries,
    });
  }
}
