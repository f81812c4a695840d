import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { safeFileName } from "../checkpoint/file_name.ts";
import { StagedOutput } from "../checkpoint/staged_output.ts";
import { stagingFolder } from "../checkpoint/staging.ts";
import type { CheckpointLimits } from "../checkpoint_limits.ts";
import { IntegrityError, NotFoundError, StorageError } from "../errors.ts";
import { openNodeFile } from "../formats/node_file.ts";
import { sha256 } from "../platform/sha256.ts";
import { MemorySink } from "../session/memory_sink.ts";
import type { Verified } from "../session/verdict.ts";
import { type AddressPattern, formatAddress, HEADER_TENSOR } from "../tensor/address.ts";
import { equalBytes, toHex } from "../tensor/bytes.ts";
import { createDescriptor } from "../tensor/descriptor.ts";
import { modelRoot, type NamedRoot, partitionRoot } from "../tensor/root.ts";
import type { TensorSink } from "../tensor/sink.ts";
import type { ListingEntry } from "../wire/listing.ts";
import { ExistingFileSink, FileDiffersError } from "./existing_file_sink.ts";
import { inParallel } from "./in_parallel.ts";
import {
  type PlannedFile,
  type PlannedOutput,
  type PlannedPiece,
  planOutputs,
} from "./pull_plan.ts";
import type { PullSource } from "./pull_source.ts";
import type { Report } from "./report.ts";
import { sweepBeside } from "./sweep_outputs.ts";
import { WorkMeter } from "./work_meter.ts";
import { writeFront } from "./write_front.ts";

/** What to pull, and where to. */
export interface PullOptions {
  readonly pattern: AddressPattern;
  readonly outputPath?: string | undefined;
  readonly overwrite: boolean;
  readonly durable: boolean;
  readonly priority: number;
  /** What other pulls may have left behind beside the outputs. Default: nothing is swept. */
  readonly checkpointLimits?: CheckpointLimits;
  readonly report: Report;
  readonly signal: AbortSignal;
}

/** What a pull did. */
export interface PullSummary {
  readonly tensors: number;
  readonly bytes: number;
  readonly resumedBytes: number;
  readonly retries: number;
  /** How far the tensor that was checked least was checked. */
  readonly verified: Verified | undefined;
  readonly paths: readonly string[];
  /** The roots of the models that came whole, in hexadecimal. */
  readonly roots: Readonly<Record<string, string>>;
}

const IN_PARALLEL = { most: 128, mostBytes: 48 * 1024 * 1024 };
/** How often a source may change under a pull before it is given up. */
const MAX_ROUNDS = 3;

/**
 * Fetches what a pattern names into files. Nothing gets its final name before every file is there,
 * verified, and the peer says at the end that it still has the very versions it had at the start.
 */
export async function pull(source: PullSource, options: PullOptions): Promise<PullSummary> {
  const meter = new WorkMeter(options.report);
  try {
    for (let round = 1; ; round++) {
      try {
        return await new Pull(source, options, meter).run();
      } catch (error) {
        const hasChanged = error instanceof IntegrityError && error.where === "source";
        if (!hasChanged || !error.retryable || round === MAX_ROUNDS) throw error;
        options.report.event(
          { event: "changed", round, message: error.message },
          `${error.message}; going on with the new version`,
        );
      }
    }
  } finally {
    meter.end();
  }
}

/** One round: everything of it is bound to the versions of one listing. */
class Pull {
  readonly #source: PullSource;
  readonly #options: PullOptions;
  readonly #meter: WorkMeter;
  readonly #roots = new Map<string, Uint8Array>();
  #verified: Verified | undefined;

  constructor(source: PullSource, options: PullOptions, meter: WorkMeter) {
    this.#source = source;
    this.#options = options;
    this.#meter = meter;
  }

  async run(): Promise<PullSummary> {
    const { pattern, signal, outputPath } = this.#options;
    const listing = await this.#source.list(pattern, { signal });
    if (listing.length === 0) {
      const wanted = Object.values(pattern).join("/");
      throw new NotFoundError(`Nothing matches ${wanted}; \`headrace ls\` shows what is there`);
    }
    const bytes = listing.reduce((sum, { descriptor }) => sum + descriptor.byteLength, 0);
    this.#meter.begin(bytes);
    const outputs = await planOutputs(listing, pattern, outputPath, (entry) =>
      this.#readHeader(entry),
    );
    const { checkpointLimits, report } = this.#options;
    if (checkpointLimits) await sweepBeside(outputs, checkpointLimits, report);
    const open: { staged: StagedOutput; files: readonly PlannedFile[] }[] = [];
    try {
      for (const output of outputs) {
        const isBegun = existsSync(stagingFolder(output.path, output.kind));
        const before = isBegun ? undefined : await this.#missing(output);
        // Where all is right already nothing is written, not even a lock.
        if (before?.length === 0) continue;
        const staged = await this.#stage(output).catch(async (error) => {
          // What another pull has left there does not matter where all is right.
          if (before || (await this.#missing(output)).length > 0) throw error;
        });
        if (!staged) continue;
        const files: PlannedFile[] = [];
        open.push({ staged, files });
        // Opening may have completed a finish that was cut short.
        files.push(...(before ?? (await this.#missing(output))));
        await this.#fetch(staged, files);
      }
      await this.#seal(listing);
      for (const { staged, files } of open) {
        if (files.length === 0) continue;
        const { overwrite } = this.#options;
        await staged.finish(
          files.map(({ fileName, byteLength }) => ({ fileName, byteLength })),
          { overwrite },
        );
      }
    } finally {
      for (const { staged } of open) await staged.release();
    }
    const { resumedBytes, retries } = this.#meter;
    const paths = outputs.map((output) => output.path);
    const roots = await this.#modelRoots(listing);
    const tensors = this.#source.tensorTotal ?? countTensors(listing);
    const verified = this.#verified;
    return { tensors, bytes, resumedBytes, retries, verified, paths, roots };
  }

  async #readHeader(entry: ListingEntry): Promise<Uint8Array> {
    let sink = new MemorySink(entry.descriptor);
    await this.#transfer(entry, () => {
      sink = new MemorySink(entry.descriptor);
      return sink;
    });
    return sink.bytes;
  }

  /** @param into Gives each attempt a sink of its own; the attempt before has let go of its. */
  async #transfer(entry: ListingEntry, into: () => TensorSink): Promise<void> {
    const { priority, signal } = this.#options;
    const { address, version } = entry;
    const transfer = this.#source.requestTensor(address, {
      into,
      version,
      priority,
      signal,
    });
    this.#meter.add(transfer);
    await transfer.done;
    this.#verified = weaker(this.#verified, transfer.verified);
    if (transfer.root) this.#roots.set(formatAddress(address), transfer.root);
  }

  /** Where the output is put together. */
  #stage({ kind, path }: PlannedOutput): Promise<StagedOutput> {
    const { pattern, durable, overwrite } = this.#options;
    const key = Object.values(pattern).join("/");
    return StagedOutput.open(path, { kind, key, durable, keepsOther: !overwrite });
  }

  /** The files that are not there yet, or not right. */
  async #missing(output: PlannedOutput): Promise<PlannedFile[]> {
    const missing: PlannedFile[] = [];
    for (const file of output.files) {
      const before = this.#meter.mark;
      if (await this.#isThere(output, file)) continue;
      this.#meter.backTo(before);
      missing.push(file);
    }
    return missing;
  }

  /** Whether a finished file is right already; one that differs is refused unless it may go. */
  async #isThere(output: PlannedOutput, file: PlannedFile): Promise<boolean> {
    const path =
      output.kind === "file" ? output.path : `${output.path}/${safeFileName(file.fileName)}`;
    const found = await stat(path).catch(() => undefined);
    if (!found) return false;
    try {
      if (!found.isFile() || found.size !== file.byteLength) throw differs(path);
      const existing = await openNodeFile(path);
      try {
        const front = new Uint8Array(file.front.byteLength);
        await existing.read(0, front);
        if (!equalBytes(front, file.front)) throw differs(path);
        await inParallel(file.pieces, bytesOfPiece, IN_PARALLEL, ({ entry, fileOffset }) => {
          const { byteLength } = entry.descriptor;
          return this.#transfer(
            entry,
            () => new ExistingFileSink(existing, path, fileOffset, byteLength),
          );
        });
      } finally {
        await existing.close();
      }
      return true;
    } catch (error) {
      if (!(error instanceof FileDiffersError)) throw error;
      if (this.#options.overwrite) return false;
      throw new StorageError(
        `${path} is there already and differs from what the peer has; choose another output with -o, or pass --overwrite`,
        { cause: error },
      );
    }
  }

  async #fetch(staged: StagedOutput, files: readonly PlannedFile[]): Promise<void> {
    for (const file of files) {
      if (file.front.byteLength === 0) continue;
      const descriptor = createDescriptor("U8", [file.front.byteLength]);
      await writeFront(staged.sink(file.fileName, 0, file.frontAddress, descriptor), file.front);
    }
    const pieces = files.flatMap((file) => file.pieces.map((piece) => ({ ...piece, file })));
    await inParallel(pieces, bytesOfPiece, IN_PARALLEL, ({ entry, fileOffset, file }) =>
      this.#transfer(entry, () =>
        staged.sink(file.fileName, fileOffset, entry.address, entry.descriptor),
      ),
    );
  }

  /** Everything must still be what it was, and the peer's roots those that were verified here. */
  async #seal(listing: readonly ListingEntry[]): Promise<void> {
    const { pattern, signal } = this.#options;
    const { isRootless = false } = this.#source;
    const now = await this.#source.list(pattern, { roots: true, signal });
    const isSame =
      now.length === listing.length &&
      now.every((entry, n) => {
        const before = listing[n] as ListingEntry;
        const address = formatAddress(entry.address);
        const root = this.#roots.get(address);
        return (
          formatAddress(before.address) === address &&
          equalBytes(before.version, entry.version) &&
          (!root || isRootless || (entry.root !== undefined && equalBytes(root, entry.root)))
        );
      });
    if (!isSame) throw new IntegrityError("source", "The model changed while it was pulled");
  }

  async #modelRoots(listing: readonly ListingEntry[]): Promise<Record<string, string>> {
    const roots: Record<string, string> = {};
    if (this.#options.pattern.tensor !== "*" || this.#options.pattern.partition !== "*")
      return roots;
    const models = new Map<string, Map<string, NamedRoot[]>>();
    for (const { address } of listing) {
      const root = this.#roots.get(formatAddress(address));
      if (!root) return {};
      const partitions = models.get(address.model) ?? new Map<string, NamedRoot[]>();
      models.set(address.model, partitions);
      const tensors = partitions.get(address.partition) ?? [];
      partitions.set(address.partition, tensors);
      tensors.push({ name: address.tensor, root });
    }
    for (const [model, partitions] of models) {
      const named: NamedRoot[] = [];
      for (const [name, tensors] of partitions) {
        named.push({ name, root: await partitionRoot(name, tensors, sha256) });
      }
      roots[model] = toHex(await modelRoot(named, sha256));
    }
    return roots;
  }
}

const STRENGTH: readonly Verified[] = ["length", "checksums", "digests", "root"];

function weaker(a: Verified | undefined, b: Verified | undefined): Verified | undefined {
  if (!a || !b) return a ?? b;
  return STRENGTH.indexOf(a) < STRENGTH.indexOf(b) ? a : b;
}

const differs = (path: string) => new FileDiffersError(`${path} differs from what the peer has`);
const bytesOfPiece = (piece: PlannedPiece) => piece.entry.descriptor.byteLength;

function countTensors(listing: readonly ListingEntry[]): number {
  return listing.filter(({ address }) => address.tensor !== HEADER_TENSOR).length;
}
