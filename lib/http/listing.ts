// This module runs in every runtime.
import { HeadraceError, LimitError, ProtocolError, TransportError } from "../errors.ts";
import { checkAddress } from "../tensor/address.ts";
import { fromHex } from "../tensor/bytes.ts";
import { createDescriptor } from "../tensor/descriptor.ts";
import type { DType } from "../tensor/dtype.ts";
import type { StoreEntry } from "../tensor/source.ts";
import { errorOf } from "../wire/fault.ts";
import type { HttpBody } from "./body.ts";

/** The longest line: two names, each character of them escaped, and a shape. */
const MAX_LINE_CHARS = 32 * 1024;
const MAX_VERSION_BYTES = 32;

/**
 * Reads a list as `createHandler` writes them, JSON with an item a line, so that it never is in
 * memory as text.
 *
 * @throws {ProtocolError} for anything else; {@linkcode TransportError} for one that ends early.
 * @throws {HeadraceError} what the server says it could not go on for.
 */
export async function readList(
  body: HttpBody,
  name: "models" | "tensors",
  take: (item: unknown) => void,
): Promise<void> {
  let isBegun = false;
  for await (const line of linesOf(body)) {
    if (!isBegun) {
      if (line !== `{"${name}":[`) {
        throw new ProtocolError(`Asked for a list of ${name}, was answered something else`);
      }
      isBegun = true;
    } else if (line.startsWith("]")) {
      const { error } = parse(`{"${name}":[${line}`) as { error?: Record<string, unknown> };
      if (error === undefined) return;
      throw errorOf({
        code: String(error.code),
        retryable: error.retryable === true,
        message: String(error.message),
      });
    } else {
      take(parse(line.replace(/,$/, "")));
    }
  }
  throw new TransportError(`The list of ${name} ended before its end`);
}

async function* linesOf(body: HttpBody): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  for (let piece = await body.some(); piece; piece = await body.some()) {
    let text: string;
    try {
      text = decoder.decode(piece, { stream: true });
    } catch (cause) {
      throw new ProtocolError("The server sent a list that is not UTF-8", { cause });
    }
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > MAX_LINE_CHARS) {
      throw new LimitError(`A line of a list may take ${MAX_LINE_CHARS} characters`);
    }
    for (const line of lines) if (line !== "") yield line;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ProtocolError("The server sent a list that is not JSON", { cause });
  }
}

/** @throws {ProtocolError} for what cannot be a tensor of the model. */
export function entryOf(model: string, item: unknown): StoreEntry {
  try {
    const { partition, tensor, dtype, shape, byteLength, version } = item as Record<
      string,
      unknown
    >;
    const address = checkAddress({ model, partition, tensor } as StoreEntry["address"]);
    if (!Array.isArray(shape) || typeof byteLength !== "number") throw new TypeError("no shape");
    const descriptor = createDescriptor(dtype as DType, shape, byteLength);
    return { address, descriptor, version: versionOf(version) };
  } catch (cause) {
    if (cause instanceof HeadraceError) throw cause;
    throw new ProtocolError("The server listed a tensor whose name or size cannot be", { cause });
  }
}

/** @throws {ProtocolError} for anything but at most 32 bytes in hexadecimal. */
export function versionOf(text: unknown): Uint8Array {
  const version = typeof text === "string" ? fromHex(text) : undefined;
  if (version && version.byteLength <= MAX_VERSION_BYTES) return version;
  throw new ProtocolError(`The server says of a tensor that its version is ${String(text)}`);
}
