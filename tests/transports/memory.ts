import { connectionPair } from "../../lib/transports/memory.ts";
import type { Suite } from "../harness.ts";
import { transportConformance } from "./conformance.ts";

export const memorySuite: Suite = (harness) => {
  transportConformance(harness, "memory", async () => connectionPair(), { reset: true });
  transportConformance(
    harness,
    "memory, 40,000 bytes",
    async () => connectionPair({ bufferBytes: 40_000 }),
    { reset: true },
  );
};
