// A server and a client in memory, the server's status, and transfers that stand still until let go.

import { deferred } from "../../lib/deferred.ts";
import { TensorPeer } from "../../lib/session/peer.ts";
import { PeerRegistry } from "../../lib/session/peer_registry.ts";
import type { Transfer } from "../../lib/session/transfer.ts";
import type { NodeStatus } from "../../lib/status/node_status.ts";
import { createStatusHandler, type StatusHandlerOptions } from "../../lib/status/status_handler.ts";
import type { TensorAddress } from "../../lib/tensor/address.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import { arrivedRequest } from "../http/support/arrived_request.ts";
import { storeOf, TestSource, tensorBytes } from "../session/support/tensors.ts";
import { turn } from "../transports/conformance.ts";

export const TOKEN = "open sesame";
const BYTES = 200_000;

/** A node that serves tensors which nobody gets before `letGo`. */
export class ShownNode {
  readonly registry: PeerRegistry = new PeerRegistry({ maxRecent: 5 });
  readonly handler: (request: Request) => Promise<Response>;
  readonly client: TensorPeer;
  readonly #server: TensorPeer;
  readonly #addresses: TensorAddress[];
  readonly #gate = deferred<void>();

  constructor(tensors: number, options: Partial<StatusHandlerOptions> = {}) {
    const [near, far] = connectionPair();
    const names = Array.from({ length: tensors }, (_, n) => `w.${n}`);
    this.#addresses = names.map((tensor) => ({ model: "m", partition: "default", tensor }));
    const sources = this.#addresses.map((address): [TensorAddress, TestSource] => {
      const source = new TestSource(tensorBytes(BYTES));
      source.onRead = () => this.#gate.promise;
      return [address, source];
    });
    const { registry } = this;
    const store = storeOf(...sources);
    this.#server = new TensorPeer(far, { accepted: true, store, registry });
    this.client = new TensorPeer(near, { node: "laptop", role: "worker" });
    this.handler = createStatusHandler({
      registry,
      node: "gpu-1",
      authorise: (token) => token === TOKEN,
      ...options,
    });
  }

  /** Asks for all tensors; fulfils once the server has heard it. */
  async ask(): Promise<Transfer[]> {
    const transfers = this.#addresses.map((it) =>
      this.client.requestTensor(it, { into: "memory" }),
    );
    for (const { done } of transfers) done.catch(() => {});
    while (this.registry.transfers.some(({ phase }) => phase === "connecting")) await turn();
    while (this.registry.transfers.length < transfers.length) await turn();
    return transfers;
  }

  /** Lets the tensors be read. */
  letGo(): void {
    this.#gate.resolve();
  }

  /** Asks its status for something. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return this.handler(arrivedRequest(`http://localhost${path}`, init));
  }

  async json<T = NodeStatus>(path: string, init: RequestInit = {}): Promise<T> {
    return (await this.fetch(path, init)).json();
  }

  async close(): Promise<void> {
    this.letGo();
    await this.client.close();
    await this.#server.closed.catch(() => {});
  }
}

/** What a request is made with to change something. */
export function change(body?: unknown, token: string = TOKEN): RequestInit {
  return {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  };
}
