// Models of any size, made of bytes that do not compress and do not repeat, and how two are compared.
import { mkdir, open, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "chai";

/** What {@linkcode writeModel} writes. */
export interface ModelPlan {
  readonly shards: number;
  /** In each shard. */
  readonly tensors: number;
  readonly tensorBytes: number;
  /** Another seed gives another version: the same files, tensors and lengths, other bytes. */
  readonly seed: number;
}

/** Pseudo-random bytes (xorshift32), the same for the same seed. */
export function randomBytes(byteLength: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(byteLength / 4));
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1;
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state;
  }
  return new Uint8Array(words.buffer, 0, byteLength);
}

/** Numbers from 0 to 1, 1 excluded, the same for the same seed. */
export function randomNumbers(seed: number): () => number {
  const words = new Uint32Array(randomBytes(4096, seed).buffer);
  let at = 0;
  return () => (words[at++ % words.length] as number) / 2 ** 32;
}

export function shardName({ shards }: ModelPlan, shard: number): string {
  const digits = (n: number) => String(n).padStart(5, "0");
  return `model-${digits(shard + 1)}-of-${digits(shards)}`;
}

export const tensorName = (shard: number, tensor: number): string =>
  `layers.${shard}.${tensor}.weight`;

/** The bytes of one tensor of a model. */
export function tensorBytes(plan: ModelPlan, shard: number, tensor: number): Uint8Array {
  return randomBytes(plan.tensorBytes, plan.seed * 10_007 + shard * 101 + tensor);
}

/** The beginning of a shard: the length of its JSON, and the JSON. */
export function shardHeader(plan: ModelPlan, shard: number): Uint8Array {
  const entries: Record<string, unknown> = { __metadata__: { format: "pt" } };
  for (let tensor = 0; tensor < plan.tensors; tensor++) {
    entries[tensorName(shard, tensor)] = {
      dtype: "U8",
      shape: [plan.tensorBytes],
      data_offsets: [tensor * plan.tensorBytes, (tensor + 1) * plan.tensorBytes],
    };
  }
  const json = JSON.stringify(entries);
  const text = new TextEncoder().encode(json.padEnd(Math.ceil(json.length / 8) * 8));
  const header = new Uint8Array(8 + text.byteLength);
  new DataView(header.buffer).setBigUint64(0, BigInt(text.byteLength), true);
  header.set(text, 8);
  return header;
}

/** Writes shards, their index and a configuration into a folder. */
export async function writeModel(folder: string, plan: ModelPlan): Promise<void> {
  await mkdir(folder, { recursive: true });
  const weightMap: Record<string, string> = {};
  for (let shard = 0; shard < plan.shards; shard++) {
    const name = `${shardName(plan, shard)}.safetensors`;
    const file = await open(join(folder, name), "w");
    await file.write(shardHeader(plan, shard));
    for (let tensor = 0; tensor < plan.tensors; tensor++) {
      await file.write(tensorBytes(plan, shard, tensor));
      weightMap[tensorName(shard, tensor)] = name;
    }
    await file.close();
  }
  const index = { metadata: { total_size: modelBytes(plan) }, weight_map: weightMap };
  await writeFile(join(folder, "model.safetensors.index.json"), JSON.stringify(index, null, 2));
  const config = { model_type: "test", version: plan.seed };
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
}

/** The bytes of all tensors. */
export const modelBytes = ({ shards, tensors, tensorBytes }: ModelPlan): number =>
  shards * tensors * tensorBytes;

/** Everything in a folder, hidden files included, by name. */
export async function filesOf(folder: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const name of (await readdir(folder)).sort()) {
    files.set(name, await readFile(join(folder, name)));
  }
  return files;
}

/** Fails unless both folders hold the same files with the same bytes, and nothing else. */
export async function assertSameFolder(found: string, wanted: string): Promise<void> {
  const names = await readdir(wanted);
  assert.sameMembers(await readdir(found), names);
  for (const name of names) await assertSameFile(join(found, name), join(wanted, name));
}

/** Fails unless both files hold the same bytes. */
export async function assertSameFile(found: string, wanted: string): Promise<void> {
  const [a, b] = [await readFile(found), await readFile(wanted)];
  assert.equal(a.byteLength, b.byteLength, `${found} has another length than ${wanted}`);
  if (!a.equals(b)) {
    const at = a.findIndex((byte, index) => byte !== b[index]);
    assert.fail(`${found} differs from ${wanted} at byte ${at}`);
  }
}

/** The names in a folder that somebody would take for finished files. */
export async function finalNames(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => !name.startsWith("."));
}
