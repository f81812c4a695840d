// This module runs in every runtime.
import { LimitError } from "../errors.ts";
import type { PeerRegistry } from "../session/peer_registry.ts";
import type { Transfer } from "../session/transfer.ts";

const MAX_BODY_BYTES = 1024;

/** What is wrong with a request to change something, and the status that says so. */
export class Refusal extends Error {
  override readonly name: string = "Refusal";
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * Does what `POST /api/transfers/ID/ACTION` asks for, to the transfer at whichever ends of it are here.
 *
 * @throws {Refusal} for an id that is not under way, or something that cannot be done.
 */
export async function steer(
  registry: PeerRegistry,
  id: string,
  action: string,
  request: Request,
): Promise<Transfer> {
  const transfers = registry.transfers.filter((one) => one.id === id && !one.isOver);
  const [transfer] = transfers;
  if (!transfer) throw new Refusal(404, "not_found", "No transfer under way has this id");
  if (action === "cancel") {
    const reason = new DOMException("Cancelled by way of its status", "AbortError");
    for (const one of transfers) one.cancel(reason);
  } else if (action === "priority") {
    const priority = await readPriority(request);
    for (const one of transfers) one.priority = priority;
  } else {
    throw new Refusal(404, "not_found", "What can be done to a transfer is cancel and priority");
  }
  return transfer;
}

async function readPriority(request: Request): Promise<number> {
  const wanted = 'The body must be {"priority":P}, P a whole number from 0 to 255';
  let value: unknown;
  try {
    value = JSON.parse(await readText(request));
  } catch (error) {
    if (error instanceof LimitError) throw new Refusal(413, "limit", error.message);
    throw new Refusal(400, "protocol", wanted);
  }
  const { priority } = (value ?? {}) as { priority?: unknown };
  const isPriority = Number.isInteger(priority) && (priority as number) >= 0;
  if (isPriority && (priority as number) <= 255) return priority as number;
  throw new Refusal(400, "protocol", wanted);
}

async function readText({ body }: Request): Promise<string> {
  const utf8 = new TextDecoder();
  let text = "";
  let byteLength = 0;
  const reader = body?.getReader();
  for (let next = await reader?.read(); next?.value; next = await reader?.read()) {
    byteLength += next.value.byteLength;
    if (byteLength > MAX_BODY_BYTES) {
      await reader?.cancel();
      throw new LimitError(`A body may take ${MAX_BODY_BYTES} bytes`);
    }
    text += utf8.decode(next.value, { stream: true });
  }
  return text + utf8.decode();
}
