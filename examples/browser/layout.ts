// Which bytes of which file a model's tensors are.
import { HEADER_TENSOR, type ListingEntry, SIDE_FILES_PARTITION } from "headrace";
import { parseHeader } from "headrace/safetensors";

/** A run of bytes that travels as one, and where it lies. */
export interface Piece {
  readonly entry: ListingEntry;
  readonly fileName: string;
  readonly fileOffset: number;
}

/** A file of the model. */
export interface ModelFile {
  readonly name: string;
  readonly byteLength: number;
}

/** The whole model. */
export interface Layout {
  readonly files: readonly ModelFile[];
  readonly pieces: readonly Piece[];
}

/** Lays a model out; `readHeader` fetches the raw header of a safetensors file. */
export async function layOut(
  entries: readonly ListingEntry[],
  readHeader: (entry: ListingEntry) => Promise<Uint8Array>,
): Promise<Layout> {
  const files: ModelFile[] = [];
  const pieces: Piece[] = [];
  for (const [partition, ofPartition] of byPartition(entries)) {
    const header = ofPartition.find(({ address }) => address.tensor === HEADER_TENSOR);
    if (partition === SIDE_FILES_PARTITION || header === undefined) {
      for (const entry of ofPartition) {
        const name = partition === SIDE_FILES_PARTITION ? entry.address.tensor : nameOf(entry);
        files.push({ name, byteLength: entry.descriptor.byteLength });
        pieces.push({ entry, fileName: name, fileOffset: 0 });
      }
      continue;
    }
    const fileName = `${partition}.safetensors`;
    const byteLength = ofPartition.reduce((sum, { descriptor }) => sum + descriptor.byteLength, 0);
    const places = new Map(
      parseHeader(await readHeader(header), byteLength).tensors.map((tensor) => [
        tensor.name,
        tensor.fileOffset,
      ]),
    );
    files.push({ name: fileName, byteLength });
    for (const entry of ofPartition) {
      const fileOffset = entry === header ? 0 : places.get(entry.address.tensor);
      if (fileOffset === undefined) throw new Error("The model changed while it was listed");
      pieces.push({ entry, fileName, fileOffset });
    }
  }
  return { files, pieces };
}

const nameOf = ({ address }: ListingEntry) => `${address.partition}.${address.tensor}.bin`;

function byPartition(entries: readonly ListingEntry[]): Map<string, ListingEntry[]> {
  const groups = new Map<string, ListingEntry[]>();
  for (const entry of entries) {
    const { partition } = entry.address;
    const group = groups.get(partition);
    if (group) group.push(entry);
    else groups.set(partition, [entry]);
  }
  return groups;
}
