import { constants, setPriority } from "node:os";

/** Puts this process before the others of the machine, where it may: a link does not wait for a core. */
export function comeFirst(): void {
  try {
    setPriority(constants.priority.PRIORITY_HIGHEST);
  } catch {
    // Not as this user.
  }
}
