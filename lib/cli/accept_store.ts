import { join } from "node:path";
import { safeFileName } from "../checkpoint/file_name.ts";
import { LimitError } from "../errors.ts";
import { MemorySink } from "../session/memory_sink.ts";
import { MANIFEST_TENSOR, SIDE_FILES_PARTITION, type TensorAddress } from "../tensor/address.ts";
import { equalBytes } from "../tensor/bytes.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { PushOrigin, SinkStore, TensorSink } from "../tensor/sink.ts";
import { AcceptedPush, noPush } from "./accepted_push.ts";
import { checkManifestBytes, PushManifest } from "./push_manifest.ts";
import { WatchedSink } from "./watched_sink.ts";

/** Models that one connection may push at once, which bounds the memory it can take. */
const MAX_PUSHES = 4;

/** One connection that pushes, in the order in which connections came. */
interface Session {
  readonly number: number;
  origin: PushOrigin | undefined;
  isOver: boolean;
  /** Manifests that are on their way. */
  manifests: number;
}

interface ActivePush {
  readonly session: Session;
  readonly push: AcceptedPush;
}

/**
 * Takes pushed models into `FOLDER/MODEL/`, each partition as `PARTITION.safetensors`, beside it
 * the side files, all under their own names, percent-encoded where a file system would not take
 * them. A single file that is pushed becomes `FOLDER/STEM/STEM.safetensors`: served again, it has
 * the addresses that it had where it came from.
 *
 * A model appears whole or not at all, and never replaces files that differ from it. One peer at a
 * time pushes a model; what it had verified when it went away is kept for whoever pushes it next.
 */
export class AcceptStore {
  readonly #folder: string;
  readonly #pushes = new Map<string, ActivePush>();
  #sessions = 0;

  /** @param folder Made when the first model comes, if it is not there. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** What takes the pushes of one connection; to be made in the order in which connections come. */
  session(): SinkStore {
    const session = {
      number: ++this.#sessions,
      origin: undefined,
      isOver: false,
      manifests: 0,
    };
    return {
      accept: (address, descriptor, origin) => this.#accept(session, address, descriptor, origin),
    };
  }

  /** Lets go of everything that is under way; what is verified is kept. */
  async close(): Promise<void> {
    const active = [...this.#pushes.values()];
    await Promise.allSettled(active.map(({ push }) => push.close()));
  }

  async #accept(
    session: Session,
    address: TensorAddress,
    descriptor: TensorDescriptor,
    origin: PushOrigin,
  ): Promise<TensorSink> {
    if (!session.origin) {
      session.origin = origin;
      const end = () => void this.#end(session);
      origin.over.then(end, end);
    }
    const { model, partition, tensor } = address;
    if (partition === SIDE_FILES_PARTITION && tensor === MANIFEST_TENSOR) {
      return this.#manifestSink(session, model, descriptor);
    }
    const active = this.#pushes.get(model);
    if (active?.session !== session) throw noPush(model);
    return active.push.sink(address, descriptor, origin.version);
  }

  /** The connection is over: what it pushed may be gone on with over another. */
  async #end(session: Session): Promise<void> {
    session.isOver = true;
    const own = [...this.#pushes.values()].filter((active) => active.session === session);
    await Promise.allSettled(own.map(({ push }) => push.close()));
  }

  #manifestSink(session: Session, model: string, descriptor: TensorDescriptor): TensorSink {
    checkManifestBytes(descriptor.byteLength);
    safeFileName(model); // refuses a name that is too long before its list has come
    const others = [...this.#pushes.values()].filter(
      ({ session: pushing, push }) => pushing === session && push.manifest.model !== model,
    );
    if (others.length + session.manifests >= MAX_PUSHES) {
      throw new LimitError(`A connection may push ${MAX_PUSHES} models at once`, {
        retryable: true,
      });
    }
    session.manifests++;
    const memory = new MemorySink(descriptor);
    return new WatchedSink(memory, {
      onRelease: () => void session.manifests--,
      onCommit: () => this.#begin(session, new PushManifest(memory.bytes, model)),
    });
  }

  async #begin(session: Session, manifest: PushManifest): Promise<void> {
    const { model } = manifest;
    const before = this.#pushes.get(model);
    if (before && !mayTakeOver(session, before.session)) {
      const node = before.session.origin?.node ?? "another peer";
      throw new LimitError(`${model} is being pushed by ${node} just now; try again later`, {
        retryable: true,
      });
    }
    const folder = join(this.#folder, safeFileName(model));
    const push = new AcceptedPush(folder, manifest, () => before?.push.close());
    const active = { session, push };
    this.#pushes.set(model, active);
    push.over.then(() => {
      if (this.#pushes.get(model) === active) this.#pushes.delete(model);
    });
    try {
      await push.opened();
    } catch (error) {
      await push.close();
      throw error;
    }
    if (session.isOver) await push.close();
  }
}

/** A newer connection of the same instance is fenced in place of the older, which it has given up. */
function mayTakeOver(session: Session, holder: Session): boolean {
  if (session === holder || holder.isOver) return true;
  const [own, other] = [session.origin?.instance, holder.origin?.instance];
  const isSameInstance = own !== undefined && other !== undefined && equalBytes(own, other);
  return isSameInstance && session.number > holder.number;
}
