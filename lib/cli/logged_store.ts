import { getLogger } from "@logtape/logtape";
import type { TensorStore } from "../tensor/source.ts";
import { describeError } from "./describe_error.ts";

/** Faults of what is served: a peer learns that there is one, and only the log here says which. */
const OWN_FAULTS: ReadonlySet<string> = new Set(["storage", "format", "config", "internal"]);

/** Whether the other end is not told what is wrong, so that it must be seen here. */
export function isOwnFault(error: unknown): boolean {
  return OWN_FAULTS.has(describeError(error).code);
}

/** The same store; what it may not tell those who ask for a listing is logged as a warning. */
export function loggedStore(store: TensorStore): TensorStore {
  return {
    async *list(pattern) {
      try {
        yield* store.list(pattern);
      } catch (error) {
        const { message } = describeError(error);
        if (isOwnFault(error)) getLogger(["headrace", "serve"]).warning`Listing failed: ${message}`;
        throw error;
      }
    },
    open: (address) => store.open(address),
  };
}
