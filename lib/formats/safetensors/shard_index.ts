// This module runs in every runtime.
import { FormatError, LimitError } from "../../errors.ts";
import { DEFAULT_LIMITS } from "../../limits.ts";
import type { SafetensorsOptions } from "./header.ts";
import { decodeUtf8, JsonCursor } from "./json_cursor.ts";
import { quote } from "./quote.ts";

/** Which file of a sharded model holds which tensor. */
export interface ShardIndex {
  /** File name by tensor name. */
  readonly weightMap: ReadonlyMap<string, string>;
  /** The files, each once, in the order of their first mention. */
  readonly shards: readonly string[];
  /** What `metadata.total_size` says that all tensors take together. */
  readonly totalBytes: number | undefined;
}

const INDEX = "Shard index";
const MAX_FILE_NAME_BYTES = 255;

/** A name that can only mean a file in the index's own folder, on any system. */
function isPlainFileName(name: string): boolean {
  return (
    name !== "" &&
    name !== "." &&
    name !== ".." &&
    [...name].every((char) => char >= " " && char !== "/" && char !== "\\" && char !== ":") &&
    new TextEncoder().encode(name).byteLength <= MAX_FILE_NAME_BYTES
  );
}

/**
 * Reads the `*.safetensors.index.json` of a sharded model.
 *
 * @throws {FormatError} naming the tensor, for a file that is no such index, a tensor that appears
 *   twice, or a shard whose name is not a plain file name.
 * @throws {LimitError} for more than `maxSafetensorsHeaderBytes`.
 *
 * @example
 * ```ts
 * import { parseShardIndex } from "headrace/safetensors";
 *
 * const json = '{"metadata":{"total_size":8},"weight_map":{"bias":"model-00001-of-00001.safetensors"}}';
 * parseShardIndex(new TextEncoder().encode(json)).shards; // ["model-00001-of-00001.safetensors"]
 * ```
 */
export function parseShardIndex(bytes: Uint8Array, options: SafetensorsOptions = {}): ShardIndex {
  const { maxSafetensorsHeaderBytes } = { ...DEFAULT_LIMITS, ...options.limits };
  if (bytes.byteLength > maxSafetensorsHeaderBytes) {
    throw new LimitError(
      `${INDEX}: may take ${maxSafetensorsHeaderBytes} bytes, found ${bytes.byteLength}`,
    );
  }
  const cursor = new JsonCursor(decodeUtf8(bytes, INDEX), INDEX, 0);
  let weightMap: Map<string, string> | undefined;
  let totalBytes: number | undefined;
  cursor.object((key) => {
    if (key === "weight_map") weightMap = readWeightMap(cursor);
    else if (key === "metadata") totalBytes = readTotalBytes(cursor);
    else cursor.skipValue();
  });
  cursor.end(" \n\r\t");
  if (weightMap === undefined) throw new FormatError(`${INDEX}: has no weight_map`);
  return { weightMap, shards: [...new Set(weightMap.values())], totalBytes };
}

function readWeightMap(cursor: JsonCursor): Map<string, string> {
  const weightMap = new Map<string, string>();
  cursor.object((tensor) => {
    cursor.subject = { kind: `${INDEX}, tensor`, name: tensor };
    const file = cursor.string();
    if (!isPlainFileName(file)) {
      cursor.fail(`wanted the name of a file beside the index, found ${quote(file)}`);
    }
    weightMap.set(tensor, file);
    cursor.subject = undefined;
  });
  return weightMap;
}

function readTotalBytes(cursor: JsonCursor): number | undefined {
  let totalBytes: number | undefined;
  cursor.object((key) => {
    if (key !== "total_size") {
      cursor.skipValue();
      return;
    }
    // Some writers count in floating point: 15241367552.0 is met in the wild.
    totalBytes = cursor.number();
    if (!Number.isSafeInteger(totalBytes) || totalBytes < 0) {
      cursor.fail(`total_size must be a whole number of bytes, found ${totalBytes}`);
    }
  });
  return totalBytes;
}
