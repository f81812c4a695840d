import { assert } from "chai";
import { findMeant } from "../../lib/config/spelling.ts";
import type { Suite } from "../harness.ts";

const KNOWN = ["chunk_size", "max_retries", "retry_base_delay", "retry_max_delay"];

const meant = (written: string, lettersASlip: number) =>
  findMeant(
    written,
    KNOWN.map((key) => [key, key] as const),
    lettersASlip,
  );

export const spellingSuite: Suite = ({ test }) => {
  test("spelling: knows a key by other joints and by a few slips, and takes the nearest", () => {
    assert.equal(meant("chunkSize", 6), "chunk_size");
    assert.equal(meant("CHUNK-SIZE", 6), "chunk_size");
    assert.equal(meant("chunk_sise", 6), "chunk_size");
    assert.equal(meant("retry_bse_delay", 2), "retry_base_delay");
    assert.equal(meant("retry_ma_delay", 2), "retry_max_delay");
    assert.equal(meant("max_retry", 2), "max_retries");
  });

  test("spelling: leaves alone what is too far away", () => {
    assert.isUndefined(meant("chunk_sighs", 6));
    assert.isUndefined(meant("discovery", 2));
    assert.isUndefined(meant("", 2));
    assert.isUndefined(meant("x".repeat(10_000_000), 2));
  });
};
