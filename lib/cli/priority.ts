import { UsageError } from "./describe_error.ts";

const NAMED: Readonly<Record<string, number>> = { low: 0, normal: 50, high: 100, critical: 200 };

/**
 * Reads a priority: a name or a whole number from 0 to 255; normal where left out.
 *
 * @throws {UsageError} for anything else.
 */
export function parsePriority(text: string = "normal"): number {
  const value = NAMED[text] ?? (/^\d{1,3}$/.test(text) ? Number(text) : Number.NaN);
  if (value <= 255) return value;
  throw new UsageError(
    `"${text}" is not a priority; use ${Object.keys(NAMED).join(", ")}, or a whole number from 0 to 255`,
  );
}
