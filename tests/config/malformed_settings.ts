// Twenty configurations that somebody may well write, and what each of them is told.
import { assert } from "chai";
import { exitCodeOf } from "../../lib/cli/describe_error.ts";
import { resolveSettings, type SettingsInputs } from "../../lib/config/resolve_settings.ts";
import type { Suite } from "../harness.ts";

const file = (text: string): SettingsInputs => ({ file: { name: "c.json", text } });
const section = (text: string) => file(`{"tensor_protocol": {${text}}}`);
const SIZES = 'or a size such as "64KiB" or "4MiB"';
const DURATIONS = 'or a duration such as "500ms" or "2s"';
const BOOLEAN = "true or false (in the environment also 1 or 0)";

/** What is said, and the beginning and end of the one line that comes of it. */
const MALFORMED: readonly (readonly [SettingsInputs, begins: string, ends: string])[] = [
  [section('"chunk_size": 512'), "c.json: chunk_size must be", `${SIZES}, found 512`],
  [section('"chunk_size": "1MB"'), "c.json: chunk_size must be", `${SIZES}, found "1MB"`],
  [section('"chunk_size": true'), "c.json: chunk_size must be", `${SIZES}, found true`],
  [
    section('"use_streaming_protocol": "true"'),
    "c.json: use_streaming_protocol must be",
    `${BOOLEAN}, found "true"`,
  ],
  [section('"enable_compression": 1'), "c.json: enable_compression must be", `${BOOLEAN}, found 1`],
  [
    section('"compression_threshold": -1'),
    "c.json: compression_threshold must be",
    `${SIZES}, found -1`,
  ],
  [section('"max_retries": "3"'), "c.json: max_retries must be", 'or "unlimited", found "3"'],
  [section('"max_retries": 2.5'), "c.json: max_retries must be", 'or "unlimited", found 2.5'],
  [
    section('"retry_base_delay": "fast"'),
    "c.json: retry_base_delay must be",
    `${DURATIONS}, found "fast"`,
  ],
  [
    section('"retry_base_delay": null'),
    "c.json: retry_base_delay must be",
    `${DURATIONS}, found null`,
  ],
  [
    section('"retry_jitter_factor": 2'),
    "c.json: retry_jitter_factor must be",
    "a number from 0 to 1, found 2",
  ],
  [section('"codecs": ["gzip"]'), "c.json: codecs must be", 'of: "deflate", found "gzip"'],
  [section('"log_level": "loud"'), "c.json: log_level must be", '"error" or "off", found "loud"'],
  [
    section('"chunkSize": 4096'),
    'c.json: tensor_protocol: unknown key "chunkSize" (value 4096), did you mean chunk_size?',
    "log_level",
  ],
  [
    file('{"node_role": "master"}'),
    "c.json: node_role must be",
    '"worker", "coordinator" or "mixed", found "master"',
  ],
  [file('{"tensor_protocol": []}'), "c.json: tensor_protocol must be an object", "found an array"],
  [
    file('{"chunk_size": 4096}'),
    'c.json: unknown key "chunk_size" (value 4096)',
    "chunk_size belongs in tensor_protocol",
  ],
  [file('{"enabled": true,}'), "c.json is no JSON: line 1, column 18", 'found "}"'],
  [
    { environment: { OLLAMA_TENSOR_ENABLE_COMPRESSION: "yes" } },
    "OLLAMA_TENSOR_ENABLE_COMPRESSION: enable_compression must be",
    `${BOOLEAN}, found "yes"`,
  ],
  [
    { environment: { OLLAMA_TENSOR_RETRY_DELAY: "0.5s" } },
    "OLLAMA_TENSOR_RETRY_DELAY: retry_base_delay must be",
    `${DURATIONS}, found "0.5s"`,
  ],
];

export const malformedSettingsSuite: Suite = ({ test }) => {
  test("settings: twenty malformed configurations each name the key, what was found and what is accepted", () => {
    assert.lengthOf(MALFORMED, 20);
    for (const [inputs, begins, ends] of MALFORMED) {
      try {
        resolveSettings(inputs);
        assert.fail(`accepted: ${begins}`);
      } catch (error) {
        const { message } = error as Error;
        assert.isTrue(message.startsWith(begins), message);
        assert.isTrue(message.endsWith(ends), message);
        assert.notInclude(message, "\n");
        assert.equal(exitCodeOf(error), 2);
      }
    }
  });
};
