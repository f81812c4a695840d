// This module runs in every runtime.
import type { Connection } from "../../connection.ts";
import { ConformanceError, checkSame } from "./check.ts";

/** The byte at an offset of the stream that every case sends. */
function patternAt(offset: number): number {
  return (offset ^ (offset >>> 8) ^ (offset >>> 16)) & 0xff;
}

/** Fills bytes with what comes from an offset on. */
export function fillPattern(bytes: Uint8Array, offset: number): void {
  for (let index = 0; index < bytes.byteLength; index++) bytes[index] = patternAt(offset + index);
}

/** @throws {ConformanceError} for the first byte that is another. */
export function checkPattern(bytes: Uint8Array, offset: number): void {
  for (let index = 0; index < bytes.byteLength; index++) {
    const wanted = patternAt(offset + index);
    // The text is made for the byte that is another only: there are millions of others.
    if (bytes[index] !== wanted) {
      throw new ConformanceError(`byte ${offset + index} is ${bytes[index]}, wanted ${wanted}`);
    }
  }
}

/** Sends the pattern in pieces of these sizes without awaiting each, then closes. */
export async function send(end: Connection, sizes: readonly number[]): Promise<void> {
  const writer = end.writable.getWriter();
  const writes: Promise<void>[] = [];
  let offset = 0;
  for (const size of sizes) {
    const bytes = new Uint8Array(size);
    fillPattern(bytes, offset);
    writes.push(writer.write(bytes));
    offset += size;
  }
  await Promise.all([...writes, writer.close()]);
}

/** Reads to the end, one way or the other. */
export async function readAll(
  end: Connection,
  way: "readable" | "receive",
  onBytes: (view: Uint8Array) => void | Promise<void>,
): Promise<void> {
  if (way === "receive" && end.receive !== undefined) return await end.receive(onBytes);
  const reader = end.readable.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    await onBytes(next.value);
  }
}

/** How reading ended, whatever came before. */
export async function ending(end: Connection): Promise<unknown> {
  try {
    await readAll(end, "readable", () => {});
  } catch (error) {
    return error;
  }
  return undefined;
}

/** Views of the readable are kept until the end and looked at then: they belong to the reader. */
export async function expectPattern(
  end: Connection,
  totalBytes: number,
  way: "readable" | "receive",
): Promise<void> {
  const kept: Uint8Array[] = [];
  let offset = 0;
  await readAll(end, way, (view) => {
    if (way === "receive") checkPattern(view, offset);
    else kept.push(view);
    offset += view.byteLength;
  });
  checkSame(offset, totalBytes, "bytes that came");
  let at = 0;
  for (const view of kept) {
    checkPattern(view, at);
    at += view.byteLength;
  }
}
