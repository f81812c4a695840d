// A place that peers dial, in memory.
import type { Connection } from "../../../lib/connection.ts";
import { TransportError } from "../../../lib/errors.ts";
import { PeerHost } from "../../../lib/session/host.ts";
import type { TensorPeerOptions } from "../../../lib/session/peer_options.ts";
import { connectionPair } from "../../../lib/transports/memory.ts";

/** A host that connections in memory come to. */
export class Place {
  readonly host: PeerHost;
  readonly accepted: Connection[] = [];
  #arrive!: ReadableStreamDefaultController<Connection>;

  constructor(options: TensorPeerOptions) {
    const connections = new ReadableStream<Connection>({
      start: (controller) => {
        this.#arrive = controller;
      },
    });
    this.host = new PeerHost(connections, { peer: () => options });
  }

  /** Dials it. */
  readonly connect = async (): Promise<Connection> => {
    const [near, far] = connectionPair();
    this.accepted.push(far);
    this.#arrive.enqueue(far);
    return near;
  };

  close(): Promise<void> {
    return this.host.close();
  }
}

/** Cuts the link that a place accepted last. */
export const cut = (place: Place): void => place.accepted.at(-1)?.close(new TransportError("cut"));
