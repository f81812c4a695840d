import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import process from "node:process";
import { errnoOf } from "./storage_error.ts";

/** One run of a process on one machine, told apart from a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly host: string;
  /** As {@linkcode bootId}. */
  readonly boot: string;
  /** When the process began, in the system's own count; `""` where it is not told. */
  readonly start: string;
}

function readSystemFile(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // not this system, or not allowed: then it is not told
  }
}

/** Another text after each start of the machine, where the system tells (Linux); else `""`. */
export function bootId(): string {
  return readSystemFile("/proc/sys/kernel/random/boot_id")?.trim().slice(0, 64) ?? "";
}

/**
 * When the process began (field 22 of Linux's `/proc/PID/stat`), `"ended"` for one that waits only
 * to be reaped, or `""` where it is not told.
 */
function processStart(pid: number): string {
  const stat = readSystemFile(`/proc/${pid}/stat`);
  if (stat === undefined) return "";
  // The second field is the program's name in brackets, which may hold anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? "ended" : (fields[19] ?? "");
}

/** This process. */
export function thisProcess(): ProcessIdentity {
  const { pid } = process;
  return { pid, host: hostname(), boot: bootId(), start: processStart(pid) };
}

/** Whether a file or folder with this owner is this user's, where the system has users. */
export function isOwn(uid: number): boolean {
  const own = process.getuid?.();
  return own === undefined || own === uid;
}

/** Whether a process of this host is surely over; when in doubt it is not. */
export function hasEnded(other: ProcessIdentity): boolean {
  const boot = bootId();
  if (other.boot !== "" && boot !== "" && other.boot !== boot) return true;
  try {
    process.kill(other.pid, 0);
  } catch (cause) {
    if (errnoOf(cause) === "ESRCH") return true;
  }
  const start = processStart(other.pid);
  return start === "ended" || (start !== "" && other.start !== "" && start !== other.start);
}
