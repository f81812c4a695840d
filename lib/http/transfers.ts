// This module runs in every runtime.
import { type Deferred, deferred } from "../deferred.ts";
import { IntegrityError } from "../errors.ts";
import { createOutlet } from "../session/request_outlet.ts";
import { Transfer } from "../session/transfer.ts";
import { TransferMeter } from "../session/transfer_meter.ts";
import { DEFAULT_PRIORITY } from "../session/transfer_table.ts";
import { checkAddress, formatAddress, type TensorAddress } from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import { LEAF_BYTES } from "../tensor/leaf.ts";
import { tensorRoot } from "../tensor/root.ts";
import type { Offer } from "../wire/messages.ts";
import { type HttpPlace, LeafFetch } from "./leaves.ts";
import type { HttpRequestOptions, HttpSetup } from "./options.ts";
import type { HttpRequests } from "./requests.ts";
import { retrying } from "./retrying.ts";

/** A tensor as it is found, before any of its bytes are asked for. */
export interface FoundTensor {
  readonly descriptor: TensorDescriptor;
  readonly place: HttpPlace;
}

/** What transfers over HTTP are made with. */
export interface TransferMaking {
  readonly setup: HttpSetup;
  readonly requests: HttpRequests;
  /** Stands for the other end's instance, which HTTP does not tell. */
  readonly instance: Uint8Array;
}

/**
 * Begins a transfer, and makes attempts at it until one succeeds or none may follow.
 *
 * @param find Looks for the tensor, at each attempt anew.
 */
export function beginTransfer(
  making: TransferMaking,
  address: TensorAddress,
  options: HttpRequestOptions,
  find: (signal: AbortSignal) => Promise<FoundTensor>,
): Transfer {
  const { setup } = making;
  const stop = new AbortController();
  const meter = new TransferMeter(setup.clock);
  const outlet = createOutlet(options, undefined, (reason) => transfer.cancel(reason));
  const id = crypto.getRandomValues(new Uint8Array(16));
  let paused: Deferred<void> | undefined;
  const transfer: Transfer = new Transfer({
    id,
    address: checkAddress(address),
    direction: "in",
    priority: options.priority ?? DEFAULT_PRIORITY,
    meter,
    ...(outlet.stream && { readable: outlet.stream.readable }),
    ...(outlet.takeBytes && { takeBytes: outlet.takeBytes }),
    abort: (reason) => stop.abort(reason),
    reprioritise: (priority) => transfer.reprioritised(priority),
    pause: (isPaused) => {
      paused?.resolve();
      paused = isPaused ? deferred() : undefined;
    },
  });
  making.requests.bind(transfer, options.signal);
  transfer.done.catch((reason) => {
    stop.abort(reason);
    paused?.resolve();
    outlet.stream?.fail(reason);
  });

  const refetches = new Map<number, number>();
  const care = { signal: stop.signal, priority: () => transfer.priority };
  const pause = (): Promise<void> | undefined =>
    paused?.promise.then(() => {
      stop.signal.throwIfAborted();
      return pause();
    });
  async function attempt(): Promise<void> {
    const { descriptor, place } = await find(stop.signal);
    if (options.version && !equalBytes(options.version, place.version)) {
      throw new IntegrityError("source", `${formatAddress(address)} is not in the version wanted`);
    }
    transfer.enter("moving", descriptor);
    const over = deferred<void>();
    const origin = {
      version: place.version,
      instance: making.instance,
      node: "http",
      over: over.promise,
    };
    const sink = await outlet.open(offerOf(id, transfer, descriptor, place), origin);
    try {
      const fetch = new LeafFetch({ ...making, meter, care, refetches, pause }, place, sink);
      const digests = await fetch.run();
      const root = await rootOf(setup, descriptor, place, digests, options.root);
      await sink.commit(root);
      await sink.release();
      transfer.complete(root, options.root ? "root" : place.digests ? "digests" : "length");
    } catch (error) {
      await sink.release();
      throw error;
    } finally {
      over.resolve();
    }
  }
  const progress = () => meter.verifiedBytes;
  const onRetry = () => {
    meter.retries++;
    transfer.enter("retrying");
  };
  const isPinned = options.version !== undefined;
  retrying(setup, attempt, { signal: stop.signal, progress, isPinned, onRetry }).catch((error) =>
    transfer.settle("failed", error),
  );
  return transfer;
}

/** What a peer would have said of the tensor, for sinks that are made by that. */
function offerOf(
  id: Uint8Array,
  { address, priority }: Transfer,
  descriptor: TensorDescriptor,
  { version, digests }: HttpPlace,
): Offer {
  const digest = digests ? "sha256" : "none";
  const fixed = { epoch: 0, codecs: [], chunkBytes: LEAF_BYTES } as const;
  return { ...fixed, id, address, descriptor, version, priority, digest };
}

/** @throws {IntegrityError} at source, when the root is not the one that is wanted. */
async function rootOf(
  { sha256 }: HttpSetup,
  descriptor: TensorDescriptor,
  { resource, digests }: HttpPlace,
  found: readonly Uint8Array[],
  wanted: Uint8Array | undefined,
): Promise<Uint8Array | undefined> {
  if (!digests && !wanted) return undefined;
  const root = await tensorRoot(descriptor, found, sha256);
  if (!wanted || equalBytes(root, wanted)) return root;
  throw new IntegrityError("source", `${resource.url.pathname} does not have the root wanted`, {
    retryable: false,
  });
}
