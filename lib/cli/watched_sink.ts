import type { LeafDigest } from "../tensor/chunk.ts";
import type { Held, TensorSink } from "../tensor/sink.ts";
import type { SourceVersion } from "../tensor/source.ts";

/** What the owner of a {@linkcode WatchedSink} is told. */
export interface SinkWatcher {
  /** The sink has everything and is let go; the sender hears so once this promise is kept. */
  onCommit(): Promise<void>;
  /** The sink is let go, with or without everything; told once, before `onCommit`. */
  onRelease?(): Promise<void> | void;
}

/** A sink that tells its owner how it ends, before the sender hears of it. */
export class WatchedSink implements TensorSink {
  readonly #inner: TensorSink;
  readonly #watcher: SinkWatcher;
  #released: Promise<void> | undefined;

  constructor(inner: TensorSink, watcher: SinkWatcher) {
    this.#inner = inner;
    this.#watcher = watcher;
  }

  get pace(): NonNullable<TensorSink["pace"]> {
    return this.#inner.pace ?? "reader";
  }

  held(): Promise<Held | undefined> {
    return this.#inner.held();
  }

  begin(version: SourceVersion, keep: readonly LeafDigest[]): Promise<void> {
    return this.#inner.begin(version, keep);
  }

  write(leaf: LeafDigest, bytes: Uint8Array): Promise<void> {
    return this.#inner.write(leaf, bytes);
  }

  async commit(root: Uint8Array | undefined): Promise<void> {
    await this.#inner.commit(root);
    await this.release();
    await this.#watcher.onCommit();
  }

  release(): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }

  async #release(): Promise<void> {
    await this.#inner.release();
    await this.#watcher.onRelease?.();
  }
}
