import { createHash, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { ConfigError } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";

/**
 * The token from a file, or else from `HEADRACE_TOKEN`; a trailing line break is not a part of it.
 *
 * @throws {ConfigError} for a file that cannot be read, or a token that is empty or too long.
 */
export async function readToken(tokenFile: string | undefined): Promise<string | undefined> {
  if (tokenFile === undefined && process.env.HEADRACE_TOKEN === undefined) return undefined;
  const where = tokenFile ?? "HEADRACE_TOKEN";
  let token = process.env.HEADRACE_TOKEN ?? "";
  if (tokenFile !== undefined) {
    try {
      token = await readFile(tokenFile, "utf8");
    } catch (cause) {
      throw new ConfigError(`Cannot read the token file ${tokenFile}: ${messageOf(cause)}`, {
        cause,
      });
    }
  }
  token = token.trimEnd();
  const bytes = new TextEncoder().encode(token).byteLength;
  if (bytes > 0 && bytes <= DEFAULT_LIMITS.maxTokenBytes) return token;
  throw new ConfigError(
    `The token in ${where} must have 1 to ${DEFAULT_LIMITS.maxTokenBytes} bytes, found ${bytes}`,
  );
}

/** Compares in a time that tells nothing of either token, not even its length. */
export function isSameToken(wanted: string, found: string | undefined): boolean {
  const digest = (token: string) => createHash("sha256").update(token).digest();
  return timingSafeEqual(digest(wanted), digest(found ?? "")) && found !== undefined;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
