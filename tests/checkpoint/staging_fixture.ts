// What tests of outputs on a disk share.
import { createHash } from "node:crypto";
import { StagedOutput, type StagedOutputOptions } from "../../lib/checkpoint/staged_output.ts";

export { bytesOf, fetchTensor, heldIndices, sinkOf, V1, V2, writeLeaf } from "./tensors.ts";

export const sha256 = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash("sha256").update(bytes).digest());

export function openFolder(
  path: string,
  options: Partial<StagedOutputOptions> = {},
): Promise<StagedOutput> {
  return StagedOutput.open(path, { kind: "folder", key: "model", ...options });
}
