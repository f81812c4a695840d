import { safeFileName } from "../checkpoint/file_name.ts";
import { IntegrityError, LimitError, ProtocolError, UnauthorisedError } from "../errors.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import {
  formatAddress,
  HEADER_TENSOR,
  MANIFEST_TENSOR,
  SIDE_FILES_PARTITION,
  type TensorAddress,
} from "../tensor/address.ts";
import { equalBytes, joinBytes } from "../tensor/bytes.ts";
import type { TensorDescriptor } from "../tensor/descriptor.ts";
import type { SourceVersion } from "../tensor/source.ts";
import { decodeListing, encodeListingEntry, type ListingEntry } from "../wire/listing.ts";

/** The longest manifest: some 200,000 tensors with names of ordinary length. */
export const MAX_MANIFEST_BYTES: number = 32 * 1024 * 1024;

/** A file of a pushed model, as the manifest tells of it. */
export interface ManifestFile {
  /** As it is called at the other end; not yet safe for a file system. */
  readonly fileName: string;
  readonly byteLength: number;
  /** The header of a partition; a side file has none. */
  readonly header: ListingEntry | undefined;
  /** All of the file's tensors, its header among them. */
  readonly entries: readonly ListingEntry[];
}

/** Where a model's manifest is pushed to. */
export function manifestAddress(model: string): TensorAddress {
  return { model, partition: SIDE_FILES_PARTITION, tensor: MANIFEST_TENSOR };
}

/**
 * The list of everything that will follow: the entries of a LISTING page, as many as there are.
 *
 * @throws {LimitError} for a model with more tensors than a manifest can hold.
 */
export function encodeManifest(entries: readonly ListingEntry[]): Uint8Array {
  const encoded = entries.map((entry) => encodeListingEntry(entry));
  const byteLength = encoded.reduce((sum, entry) => sum + entry.byteLength, 0);
  checkManifestBytes(byteLength);
  return joinBytes(encoded);
}

/** @throws {LimitError} for more bytes than a manifest may have. */
export function checkManifestBytes(byteLength: number): void {
  if (byteLength <= MAX_MANIFEST_BYTES) return;
  throw new LimitError(
    `The list of a pushed model takes at most ${MAX_MANIFEST_BYTES} bytes, found ${byteLength}`,
  );
}

/** What a peer says that it will push of one model, checked. */
export class PushManifest {
  readonly model: string;
  readonly files: readonly ManifestFile[];
  readonly #byAddress: ReadonlyMap<string, ListingEntry>;

  /**
   * @throws {UnauthorisedError} for bytes that are no manifest, for an address twice, for another model's,
   *   for a partition without its header, and for two files of one name.
   * @throws {LimitError} for sizes and names that cannot be taken.
   */
  constructor(bytes: Uint8Array, model: string) {
    this.model = model;
    const entries = readListing(bytes);
    if (entries.length === 0)
      throw new UnauthorisedError(`The list of ${model} to be pushed is empty`);
    const byAddress = new Map(entries.map((entry) => [formatAddress(entry.address), entry]));
    if (byAddress.size !== entries.length) {
      throw new UnauthorisedError(`The list of ${model} to be pushed names a tensor twice`);
    }
    this.#byAddress = byAddress;
    for (const entry of entries) checkEntry(entry, model);
    this.files = filesOf(entries);
    checkFiles(this.files, model);
  }

  /** The addresses of everything, formatted. */
  addresses(): IterableIterator<string> {
    return this.#byAddress.keys();
  }

  /**
   * Whether the manifest has just this.
   *
   * @returns `false` for an address that is not in it.
   * @throws {IntegrityError} at source, for another version or kind of what is in it.
   */
  has(address: TensorAddress, descriptor: TensorDescriptor, version: SourceVersion): boolean {
    const name = formatAddress(address);
    const entry = this.#byAddress.get(name);
    if (!entry) return false;
    const isSame =
      entry.descriptor.dtype === descriptor.dtype &&
      entry.descriptor.shape.join() === descriptor.shape.join() &&
      equalBytes(entry.version, version);
    if (isSame) return true;
    throw new IntegrityError("source", `${name} has changed since its model was listed`, {
      address: name,
      retryable: false,
    });
  }
}

/** What a manifest is wrong about ends its own transfer, not the whole connection. */
function readListing(bytes: Uint8Array): ListingEntry[] {
  try {
    return decodeListing(bytes);
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause;
    throw new UnauthorisedError(cause.message, { cause });
  }
}

function checkEntry({ address, descriptor }: ListingEntry, model: string): void {
  const name = formatAddress(address);
  if (address.model !== model) {
    throw new UnauthorisedError(`The list of ${model} to be pushed names ${name}, another model's`);
  }
  const { maxTensorBytes } = DEFAULT_LIMITS;
  if (descriptor.byteLength > maxTensorBytes) {
    throw new LimitError(
      `${name} has ${descriptor.byteLength} bytes; at most ${maxTensorBytes} are taken`,
    );
  }
  const isWholeFile = address.partition === SIDE_FILES_PARTITION;
  if (!isWholeFile && address.tensor !== HEADER_TENSOR) return;
  const isBytes = descriptor.dtype === "U8" && descriptor.shape.length === 1;
  if (isBytes && !(isWholeFile && address.tensor === MANIFEST_TENSOR)) return;
  throw new UnauthorisedError(`${name} in the list of ${model} to be pushed is no run of bytes`);
}

function filesOf(entries: readonly ListingEntry[]): ManifestFile[] {
  const files: ManifestFile[] = [];
  const partitions = new Map<string, ListingEntry[]>();
  for (const entry of entries) {
    const { partition, tensor } = entry.address;
    if (partition === SIDE_FILES_PARTITION) {
      const { byteLength } = entry.descriptor;
      files.push({ fileName: tensor, byteLength, header: undefined, entries: [entry] });
      continue;
    }
    const ofPartition = partitions.get(partition);
    if (ofPartition) ofPartition.push(entry);
    else partitions.set(partition, [entry]);
  }
  for (const [partition, ofPartition] of partitions) {
    const header = ofPartition.find(({ address }) => address.tensor === HEADER_TENSOR);
    if (!header) {
      throw new UnauthorisedError(
        `The list of what is to be pushed has no header for ${partition}`,
      );
    }
    const byteLength = ofPartition.reduce((sum, { descriptor }) => sum + descriptor.byteLength, 0);
    const fileName = `${partition}.safetensors`;
    files.push({ fileName, byteLength, header, entries: ofPartition });
  }
  return files;
}

function checkFiles(files: readonly ManifestFile[], model: string): void {
  const names = new Set(files.map(({ fileName }) => safeFileName(fileName)));
  if (names.size !== files.length) {
    throw new UnauthorisedError(`The list of ${model} to be pushed gives two files one name`);
  }
  const { maxSafetensorsHeaderBytes } = DEFAULT_LIMITS;
  let totalBytes = 0;
  let headerBytes = 0;
  for (const { byteLength, header } of files) {
    totalBytes += byteLength;
    headerBytes += header?.descriptor.byteLength ?? 0;
  }
  if (!Number.isSafeInteger(totalBytes)) {
    throw new LimitError(`${model} has ${totalBytes} bytes, more than can be counted`);
  }
  // Headers are read in memory, and several may come at once.
  if (headerBytes > maxSafetensorsHeaderBytes) {
    throw new LimitError(
      `The headers of ${model} take ${headerBytes} bytes; at most ${maxSafetensorsHeaderBytes} are taken`,
    );
  }
}
