// Loads a model into the browser: everything that the worker does.
import { createDescriptor, HEADER_TENSOR, type ListingEntry, sha256, TensorPeer } from "headrace";
import type { Checkpoint } from "headrace/checkpoint";
import { connect } from "headrace/websocket";
import { type Layout, layOut, type Piece } from "./layout.ts";
import type { News, Order, Picture, TensorChange, TensorLine } from "./messages.ts";
import { numbersOf, pictureOf } from "./numbers.ts";
import { bytesOf, type Job, Queue } from "./queue.ts";
import { Rate } from "./rate.ts";
import { openStorage, type Storage } from "./storage.ts";

const TOLD_EVERY_MS = 200;
/** A picture of more would take longer than one likes to wait. */
const MOST_DRAWN_BYTES = 256 * 1024 * 1024;

/** One server, and the model that is loaded from it. */
export class Loader {
  readonly #tell: (news: News) => void;
  #peer: TensorPeer | undefined;
  #storage: Promise<Storage> = openStorage();
  #model = "";
  #queue: Queue | undefined;
  #layout: Layout | undefined;
  #checkpoint: Checkpoint | undefined;
  #rate = new Rate();
  readonly #told = new Map<number, string>();

  constructor(tell: (news: News) => void) {
    this.#tell = tell;
  }

  async do(order: Order): Promise<void> {
    try {
      if (order.kind === "connect") await this.#connect(order.url, order.token);
      else if (order.kind === "load") await this.#load(order.model, order.anew);
      else if (order.kind === "draw") await this.#draw(order.id);
      else {
        for (const id of order.ids) {
          const job = this.#queue?.jobs[id];
          if (job === undefined || this.#queue === undefined) continue;
          if (order.kind === "pause") this.#queue.pause(job, order.isPaused);
          else this.#queue.prioritise(job, order.priority);
        }
        this.#report();
      }
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#tell({ kind: "failed", message, canGoOn: order.kind !== "connect" });
    }
  }

  async #connect(url: string, token: string | undefined): Promise<void> {
    await this.#peer?.close();
    const peer = new TensorPeer((signal) => connect(url, { signal }), {
      node: "browser",
      ...(token !== undefined && { token }),
    });
    this.#peer = peer;
    const sizes = new Map<string, number>();
    for (const { address, descriptor } of await peer.list()) {
      sizes.set(address.model, (sizes.get(address.model) ?? 0) + descriptor.byteLength);
    }
    const models = Array.from(sizes, ([name, byteLength]) => ({ name, byteLength }));
    const unfinished = await (await this.#storage).noted();
    this.#tell({ kind: "models", models, unfinished });
  }

  async #load(model: string, anew: boolean): Promise<void> {
    const peer = this.#peer;
    if (peer === undefined) return;
    const startMs = performance.now();
    const storage = await this.#storage;
    this.#model = model;
    await storage.note(model);
    if (anew) await storage.delete(model);
    const listing = await peer.list({ model, partition: "*", tensor: "*" });
    const layout = await layOut(listing, ({ address, version }) =>
      peer.requestTensor(address, { into: "memory", version }).bytes(),
    );
    this.#layout = layout;
    const { pieces } = layout;
    this.#told.clear();
    this.#rate = new Rate();
    const tensors = pieces.map(lineOf);
    this.#tell({ kind: "listing", model, tensors, isKept: storage.isKept });
    const stamp = await stampOf(listing);
    if (await isFinished(storage, model, layout, stamp)) {
      this.#queue = new Queue(pieces, async () => {});
      await this.#queue.run();
      await storage.note("");
      this.#finished(true, startMs);
      return;
    }
    const checkpoint = await storage.store.open(model, { kind: "folder", key: model });
    this.#checkpoint = checkpoint;
    this.#queue = new Queue(pieces, (job) => this.#fetch(peer, checkpoint, job));
    const timer = setInterval(() => this.#report(), TOLD_EVERY_MS);
    try {
      await this.#queue.run();
      this.#report();
      const now = await stampOf(await peer.list({ model, partition: "*", tensor: "*" }));
      if (now !== stamp) throw new Error("The model changed while it was loaded; load it again");
      await writeStamp(checkpoint, stamp);
      const files = layout.files.map(({ name, byteLength }) => ({ fileName: name, byteLength }));
      await checkpoint.finish([...files, { fileName: STAMP, byteLength: stamp.length }], {
        overwrite: true,
      });
      this.#checkpoint = undefined;
      await storage.note("");
      this.#finished(false, startMs);
    } finally {
      clearInterval(timer);
      this.#checkpoint = undefined;
      for (const { transfer } of this.#queue.jobs) transfer?.cancel();
      await checkpoint.release();
      this.#report();
    }
  }

  async #fetch(peer: TensorPeer, checkpoint: Checkpoint, job: Job): Promise<void> {
    const { entry, fileName, fileOffset } = job.piece;
    const { address, descriptor, version } = entry;
    const transfer = peer.requestTensor(address, {
      into: () => checkpoint.sink(fileName, fileOffset, address, descriptor),
      version,
      priority: job.priority,
    });
    job.transfer = transfer;
    await transfer.done;
  }

  /** Tells how far everything is, and of the tensors only what has changed. */
  #report(): void {
    if (this.#queue === undefined) return;
    const { jobs } = this.#queue;
    let [bytes, totalBytes, resumedBytes, retries] = [0, 0, 0, 0];
    const changes: TensorChange[] = [];
    for (const [id, job] of jobs.entries()) {
      const here = bytesOf(job);
      bytes += here;
      totalBytes += job.piece.entry.descriptor.byteLength;
      resumedBytes += job.transfer?.progress.resumedBytes ?? 0;
      retries += job.transfer?.progress.retries ?? 0;
      const isOver = job.state === "here" || job.state === "failed";
      const state = job.isPaused && !isOver ? "paused" : job.state;
      const told = `${here} ${state}`;
      if (this.#told.get(id) === told) continue;
      this.#told.set(id, told);
      changes.push([id, here, state]);
    }
    this.#rate.note(performance.now(), bytes - resumedBytes);
    const bytesPerSecond = this.#rate.perSecond;
    this.#tell({
      kind: "progress",
      bytes,
      totalBytes,
      resumedBytes,
      bytesPerSecond,
      retries,
      changes,
    });
  }

  #finished(wasHere: boolean, startMs: number): void {
    this.#report();
    const files = this.#layout?.files ?? [];
    const jobs = this.#queue?.jobs ?? [];
    const resumedBytes = jobs.reduce(
      (sum, job) => sum + (job.transfer?.progress.resumedBytes ?? 0),
      0,
    );
    const elapsedMs = performance.now() - startMs;
    this.#tell({ kind: "done", wasHere, files, resumedBytes, elapsedMs });
  }

  async #draw(id: number): Promise<void> {
    const job = this.#queue?.jobs[id];
    if (job?.state !== "here") return;
    const { entry } = job.piece;
    const { dtype, shape, byteLength } = entry.descriptor;
    let picture: Picture | undefined;
    if (byteLength > 0 && byteLength <= MOST_DRAWN_BYTES) {
      const values = numbersOf(dtype, await this.#read(job.piece));
      picture = values && pictureOf(values, shape);
    }
    this.#tell({ kind: "picture", id, picture });
  }

  /** A tensor that is here, in the checkpoint or in the finished file. */
  async #read({ entry, fileName, fileOffset }: Piece): Promise<Uint8Array> {
    const { byteLength } = entry.descriptor;
    const bytes = new Uint8Array(byteLength);
    if (await this.#checkpoint?.read(fileName, fileOffset, bytes).catch(() => false)) return bytes;
    const file = await (await this.#storage).file(this.#model, fileName);
    if (file === undefined)
      throw new Error(`${fileName} is not here any more; load the model anew`);
    return new Uint8Array(await file.slice(fileOffset, fileOffset + byteLength).arrayBuffer());
  }
}

const lineOf = ({ entry }: Piece, id: number): TensorLine => {
  const { address, descriptor } = entry;
  const { dtype, shape, byteLength } = descriptor;
  const { tensor, partition } = address;
  const name = tensor === HEADER_TENSOR ? `header of ${partition}` : tensor;
  return { id, name, partition, dtype, shape, byteLength };
};

/** A file beside the model's own that says of which version they are. */
const STAMP = "headrace-demo.version";

/** Names this very version of a model. */
async function stampOf(listing: readonly ListingEntry[]): Promise<string> {
  const text = listing.map(({ address, version }) => JSON.stringify([address, [...version]]));
  const digest = await sha256([new TextEncoder().encode(text.join("\n"))]);
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function writeStamp(checkpoint: Checkpoint, stamp: string): Promise<void> {
  const bytes = new TextEncoder().encode(stamp);
  const address = { model: "demo", partition: "default", tensor: STAMP };
  const sink = checkpoint.sink(STAMP, 0, address, createDescriptor("U8", [bytes.byteLength]));
  try {
    await sink.begin(new Uint8Array(), []);
    await sink.write({ index: 0, digest: await sha256([bytes]) }, bytes);
    await sink.commit(undefined);
  } finally {
    await sink.release();
  }
}

/** Whether an earlier visit has loaded this very version. */
async function isFinished(
  storage: Storage,
  model: string,
  { files }: Layout,
  stamp: string,
): Promise<boolean> {
  if ((await (await storage.file(model, STAMP))?.text()) !== stamp) return false;
  for (const { name, byteLength } of files) {
    if ((await storage.file(model, name))?.size !== byteLength) return false;
  }
  return true;
}
