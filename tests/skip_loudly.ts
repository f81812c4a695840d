import process from "node:process";

/**
 * Says that a test did nothing on this machine, for want of a program.
 *
 * @throws where that may not be: in CI nothing is missing.
 */
export function skipLoudly(what: string): void {
  const why = `SKIPPED here: ${what.toUpperCase()} IS NOT ON THIS MACHINE`;
  if (process.env.CI === "true") throw new Error(why);
  console.warn(why);
}
