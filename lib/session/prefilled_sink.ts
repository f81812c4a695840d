// This module runs in every runtime.
import { equalBytes } from "../tensor/bytes.ts";
import type { LeafDigest } from "../tensor/chunk.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { Held, TensorSink } from "../tensor/sink.ts";
import type { SourceVersion } from "../tensor/source.ts";
import type { MemorySink } from "./memory_sink.ts";

/**
 * A sink beside memory that has some of its tensor already: what is there is written from there,
 * and only the rest comes from the other end.
 */
export class PrefilledSink implements TensorSink {
  readonly pace: NonNullable<TensorSink["pace"]>;
  readonly buffer?: NonNullable<TensorSink["buffer"]>;
  readonly #sink: TensorSink;
  readonly #memory: MemorySink;
  /** Leaves on their way from memory into the sink, which may wait for a reader. */
  #copying: Promise<void> = Promise.resolve();
  #stop = new AbortController();

  constructor(sink: TensorSink, memory: MemorySink) {
    this.#sink = sink;
    this.#memory = memory;
    this.pace = sink.pace ?? "reader";
    if (sink.buffer) this.buffer = sink.buffer.bind(sink);
  }

  /** What either has; of two versions, the sink's. */
  async held(): Promise<Held | undefined> {
    const [own, kept] = await Promise.all([this.#sink.held(), this.#memory.held()]);
    if (!own || !kept) return own ?? kept;
    if (!equalBytes(own.version, kept.version)) return own;
    const known = new Set(own.leaves.map(({ index }) => index));
    return {
      ...own,
      leaves: [...own.leaves, ...kept.leaves.filter(({ index }) => !known.has(index))],
    };
  }

  async begin(version: SourceVersion, keep: readonly LeafDigest[]): Promise<void> {
    const own = new Map((await this.#sink.held())?.leaves.map((leaf) => [leaf.index, leaf.digest]));
    const isOwn = ({ index, digest }: LeafDigest) => {
      const found = own.get(index);
      return found !== undefined && equalBytes(found, digest);
    };
    this.#stop.abort();
    await this.#copying.catch(() => {});
    await this.#sink.begin(version, keep.filter(isOwn));
    const rest = keep.filter((leaf) => !isOwn(leaf)).sort((a, b) => a.index - b.index);
    this.#stop = new AbortController();
    this.#copying = this.#copy(rest, this.#stop.signal);
    this.#copying.catch(() => {});
  }

  write(leaf: LeafDigest, bytes: Uint8Array): Promise<void> {
    return this.#sink.write(leaf, bytes);
  }

  settle(descriptor: TensorDescriptor): void {
    this.#sink.settle?.(descriptor);
  }

  async commit(root: Uint8Array | undefined): Promise<void> {
    await this.#copying;
    await this.#sink.commit(root);
  }

  release(): Promise<void> {
    this.#stop.abort();
    return this.#sink.release();
  }

  async #copy(leaves: readonly LeafDigest[], stop: AbortSignal): Promise<void> {
    for (const leaf of leaves) {
      if (stop.aborted) return;
      const bytes = this.#memory.heldLeaf(leaf);
      if (!bytes) throw new TypeError(`Leaf ${leaf.index} is neither in the sink nor in memory`);
      await this.#sink.write(leaf, bytes);
    }
  }
}
