// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import type { ConnectionView } from "../session/connection_view.ts";
import type { PeerRegistry, RegistryTotals } from "../session/peer_registry.ts";
import { snapshotOf, type TransferSnapshot } from "../session/transfer_snapshot.ts";
import { VERSION } from "../version.ts";

/** What a node says of itself, beside its transfers. */
export interface NodeHead {
  readonly node: string;
  readonly role: string;
  readonly version: string;
  /** Since the handler was made. */
  readonly uptimeMs: number;
  /** Whether whoever has the token can cancel transfers and change priorities. */
  readonly isSteerable: boolean;
  readonly connections: readonly ConnectionView[];
  /** What all transfers have come to, those that are forgotten included. */
  readonly totals: RegistryTotals;
}

/** What `GET /api/status` answers. */
export interface NodeStatus extends NodeHead {
  /** Those under way in the order in which they began, then those that were over last, the newest first. */
  readonly transfers: readonly TransferSnapshot[];
}

/** Whom a {@linkcode NodeView} shows. */
export interface NodeViewOptions {
  readonly registry: PeerRegistry;
  readonly node: string;
  readonly role: string;
  readonly isSteerable: boolean;
  readonly clock: Clock;
}

/** Looks at the peers of a node when asked, and at no other time. */
export class NodeView {
  readonly #options: NodeViewOptions;
  readonly #sinceMs: number;

  constructor(options: NodeViewOptions) {
    this.#options = options;
    this.#sinceMs = options.clock.now();
  }

  head(): NodeHead {
    const { registry, node, role, isSteerable, clock } = this.#options;
    return {
      node,
      role,
      version: VERSION,
      uptimeMs: Math.round(clock.now() - this.#sinceMs),
      isSteerable,
      connections: registry.peers.flatMap(({ connection }) => connection ?? []),
      totals: registry.totals(),
    };
  }

  transfers(): TransferSnapshot[] {
    const { registry } = this.#options;
    return [
      ...registry.peers.flatMap(({ transfers, connection }) =>
        transfers.filter(({ isOver }) => !isOver).map((one) => snapshotOf(one, connection?.node)),
      ),
      ...registry.recent.toReversed(),
    ];
  }

  status(): NodeStatus {
    return { ...this.head(), transfers: this.transfers() };
  }
}
