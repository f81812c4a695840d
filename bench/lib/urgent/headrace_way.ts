import {
  createDescriptor,
  MemoryStore,
  type TensorAddress,
  type TensorDescriptor,
  TensorPeer,
  type TensorPeerOptions,
  type TensorSource,
} from "../../../mod.ts";
import { DiscardingSink, joinOther } from "../transfer.ts";
import type { Part } from "../two_processes.ts";
import { FirstComeScheduler } from "./first_come.ts";
import { BULKS, bulkUnit, itemOf, UNIT_BYTES } from "./items.ts";
import type { ItemName, Mover, Way } from "./mover.ts";

/** What is served under which name. */
const BULK_BYTES = 64 * 1024 ** 3;
const CRITICAL = 200;
const NORMAL = 50;
const LOW = 0;

/** How headrace is set up. */
export interface HeadraceSetup {
  /** Whether the bulk's leaves are digested; the urgent tensors' always are. */
  readonly digestBulk: boolean;
  /** First come, first served, in place of priorities. */
  readonly firstCome?: boolean;
}

/** Everything over one connection of two `TensorPeer`s. */
export function headraceWay(setup: HeadraceSetup): Way {
  return {
    serve: (part) => serve(part, setup),
    join: (part) => join(part, setup),
  };
}

/** What makes the same build first come, first served. */
function queueing({ firstCome }: HeadraceSetup): Partial<TensorPeerOptions> {
  return firstCome ? { scheduler: () => new FirstComeScheduler() } : {};
}

function addressOf(tensor: string) {
  return { model: "bench", partition: "default", tensor };
}

/** More bytes than can be moved, all from one piece of memory; each opening is a version of its own. */
class EndlessSource implements TensorSource {
  readonly descriptor: TensorDescriptor = createDescriptor("U8", [BULK_BYTES]);
  readonly #unit: Uint8Array;
  readonly #version: Uint8Array = crypto.getRandomValues(new Uint8Array(16));

  constructor(unit: Uint8Array) {
    this.#unit = unit;
  }

  async version(): Promise<Uint8Array> {
    return this.#version;
  }

  async read(byteOffset: number, into: Uint8Array): Promise<void> {
    into.set(this.view(byteOffset, into.byteLength));
  }

  view(byteOffset: number, byteLength: number): Uint8Array {
    const at = byteOffset % UNIT_BYTES;
    return this.#unit.subarray(at, at + byteLength);
  }
}

async function serve(part: Part, setup: HeadraceSetup): Promise<void> {
  const unit = bulkUnit();
  const items = new MemoryStore();
  for (const name of ["urgent", "sample"] as const) {
    items.set(addressOf(name), itemOf(name, part.settings?.urgentBytes ?? 0));
  }
  const open = async (address: TensorAddress): Promise<TensorSource> =>
    items.get(address) ? items.open(address) : new EndlessSource(unit);
  const store = { async *list() {}, open };
  const options = { ...queueing(setup), store, accepted: true, codecs: [] };
  const peer = new TensorPeer(await joinOther(part), options);
  // The receiver leaves amid the bulk.
  await peer.closed.catch(() => {});
}

async function join(part: Part, setup: HeadraceSetup): Promise<Mover> {
  const peer = new TensorPeer(await joinOther(part), { ...queueing(setup), codecs: [] });
  await peer.remoteHello();
  const priorityOf = (priority: number) => (setup.firstCome ? NORMAL : priority);
  return {
    get(name: ItemName) {
      const priority = priorityOf(name === "urgent" ? CRITICAL : NORMAL);
      return peer.requestTensor(addressOf(name), { into: "memory", priority }).bytes();
    },
    async startBulk() {
      const transfers = Array.from({ length: BULKS }, (_, index) => {
        const sink = new DiscardingSink(0);
        const transfer = peer.requestTensor(addressOf(`bulk.${index}`), {
          into: () => sink,
          priority: priorityOf(index % 2 === 0 ? LOW : NORMAL),
          digest: setup.digestBulk ? "sha256" : "none",
        });
        transfer.done.catch(() => {});
        return transfer;
      });
      return async () => {
        for (const transfer of transfers) transfer.cancel();
      };
    },
    receivedBytes: () => peer.receivedBytes,
    close: () => peer.close(),
  };
}
