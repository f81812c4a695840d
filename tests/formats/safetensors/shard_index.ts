import { assert } from "chai";
import { FormatError, LimitError } from "../../../lib/errors.ts";
import { parseShardIndex } from "../../../lib/formats/safetensors/shard_index.ts";
import type { Suite } from "../../harness.ts";

const parse = (json: string) => parseShardIndex(new TextEncoder().encode(json));

export const shardIndexSuite: Suite = ({ test }) => {
  test("shard index: maps tensors to files, in order of their mention", () => {
    const index = parse(`{
      "metadata": { "total_size": 15241367552.0, "total_parameters": 1.5e3, "x": [{}, null, true] },
      "weight_map": { "b": "m-2.safetensors", "a": "m-1.safetensors", "__proto__": "m-2.safetensors" },
      "extra": ["\\u0041", -0.5e-3, false, {"k": []}]
    }\n`);
    assert.deepEqual(index.shards, ["m-2.safetensors", "m-1.safetensors"]);
    assert.deepEqual(
      [...index.weightMap],
      [
        ["b", "m-2.safetensors"],
        ["a", "m-1.safetensors"],
        ["__proto__", "m-2.safetensors"],
      ],
    );
    assert.equal(index.totalBytes, 15_241_367_552);
  });

  test("shard index: refuses a shard name that leads anywhere else", () => {
    for (const name of ["", ".", "..", "a/b", "../a", "/a", "a\\\\b", "C:a", "a\\u0000", "a\\n"]) {
      assert.throws(
        () => parse(`{"weight_map":{"w":"${name}"}}`),
        FormatError,
        /tensor "w".*beside the index/,
      );
    }
  });

  test("shard index: refuses what is no index", () => {
    const cases: [string, RegExp][] = [
      ["{}", /no weight_map/],
      ["[]", /wanted "\{"/],
      [`{"weight_map":{"w":1}}`, /tensor "w": wanted a string/],
      [`{"weight_map":{"w":"a","w":"b"}}`, /"w" appears twice/],
      [`{"weight_map":{},"weight_map":{}}`, /"weight_map" appears twice/],
      [`{"metadata":{"total_size":-1},"weight_map":{}}`, /total_size.*-1/],
      [`{"metadata":{"total_size":1e400},"weight_map":{}}`, /total_size/],
      [`{"x":${"[".repeat(5000)}`, /nested/],
      [`{"x":tru}`, /wanted a number/],
      [`{"weight_map":{}} {}`, /nothing but padding/],
    ];
    for (const [json, message] of cases) assert.throws(() => parse(json), FormatError, message);
    assert.throws(() => parseShardIndex(Uint8Array.of(0x7b, 0xff)), FormatError, /UTF-8/);
    assert.throws(
      () => parseShardIndex(new Uint8Array(9), { limits: { maxSafetensorsHeaderBytes: 8 } }),
      LimitError,
    );
  });
};
