import { formatBytes, formatSeconds } from "./format.ts";

/** How far long work is. */
export interface WorkProgress {
  readonly bytes: number;
  readonly totalBytes: number;
  readonly bytesPerSecond: number;
  readonly etaMs: number | undefined;
  readonly what: string;
  readonly resumedBytes: number;
  readonly retries: number;
}

/** `45 % of 1.20 GB, 310 MB/s, 2 s left`. */
export function progressLine(progress: WorkProgress): string {
  const percent = progress.totalBytes === 0 ? 100 : (progress.bytes / progress.totalBytes) * 100;
  const left = progress.etaMs === undefined ? "" : `, ${formatSeconds(progress.etaMs)} left`;
  return `${percent.toFixed(0)} % of ${formatBytes(progress.totalBytes)}, ${formatBytes(progress.bytesPerSecond)}/s${left}`;
}
