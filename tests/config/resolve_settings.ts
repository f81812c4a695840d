import { assert } from "chai";
import fc from "fast-check";
import type { SettingValue } from "../../lib/config/layer.ts";
import { resolveSettings, type SettingsInputs } from "../../lib/config/resolve_settings.ts";
import { SETTING_KEYS, type SettingKey } from "../../lib/config/setting_keys.ts";
import { DEFAULT_SETTINGS } from "../../lib/config/settings.ts";
import { ConfigError } from "../../lib/errors.ts";
import type { Suite } from "../harness.ts";
import { ACCEPTED, CASES, REFUSED, TOP } from "./setting_cases.ts";

const KEYS = Object.keys(CASES) as SettingKey[];

const fileWith = (key: string, value: unknown) => {
  const content = TOP.includes(key) ? { [key]: value } : { tensor_protocol: { [key]: value } };
  return { name: "cluster.json", text: JSON.stringify(content) };
};

/** The message that the inputs fail with, which is one line of a ConfigError. */
function messageOf(inputs: SettingsInputs): string {
  try {
    resolveSettings(inputs);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    assert.notInclude(error.message, "\n");
    assert.equal(error.code, "config");
    return error.message;
  }
  assert.fail(`accepted ${JSON.stringify(inputs)}`);
}

export const resolveSettingsSuite: Suite = ({ test }) => {
  test("settings: without any input every setting has its default", () => {
    const { settings, origins, ignoredKeys } = resolveSettings();
    assert.deepEqual(settings, DEFAULT_SETTINGS);
    assert.deepEqual(Object.keys(origins), KEYS);
    assert.deepEqual(ignoredKeys, []);
    for (const key of KEYS) {
      const { name, initial, environment } = CASES[key];
      assert.deepEqual((settings as unknown as Record<string, unknown>)[name], initial, key);
      assert.deepEqual(origins[key], { value: initial, origin: "default" });
      assert.equal(SETTING_KEYS[key].environment, environment);
    }
  });

  test("settings: every key from every origin, each above the ones after it", () => {
    for (const key of KEYS) {
      const { name, environment, option, text, json, initial } = CASES[key];
      const given = {
        option: { options: { [name]: option } },
        environment: { environment: { [environment]: text[0] } },
        file: { file: fileWith(key, json[0]) },
      };
      const expect = (inputs: SettingsInputs, value: SettingValue, origin: string) => {
        const { settings, origins } = resolveSettings(inputs);
        assert.deepEqual(origins[key], { value, origin }, key);
        assert.deepEqual(settings, { ...DEFAULT_SETTINGS, [name]: value });
      };
      const fromEnvironment = `environment ${environment}`;
      expect(given.option, option, "option");
      expect(given.environment, text[1], fromEnvironment);
      expect(given.file, json[1], "file cluster.json");
      expect({ ...given.option, ...given.environment }, option, "option");
      expect({ ...given.option, ...given.file }, option, "option");
      expect({ ...given.environment, ...given.file }, text[1], fromEnvironment);
      expect({ ...given.option, ...given.environment, ...given.file }, option, "option");
      const silent = { options: { [name]: undefined }, environment: { [environment]: "" } };
      expect(silent, initial, "default");
      expect({ ...silent, ...given.file }, json[1], "file cluster.json");
    }
  });

  test("settings: a refused value is one line that names the key, the value and what is accepted", () => {
    for (const key of KEYS) {
      const { name, environment } = CASES[key];
      for (const value of REFUSED[key]) {
        const fromFile = messageOf({ file: fileWith(key, value) });
        const fromOption = messageOf({ options: { [name]: value } });
        for (const message of [fromFile, fromOption]) {
          assert.match(message, ACCEPTED[key]);
          if (typeof value === "number") assert.include(message, `found ${value}`);
          if (typeof value === "string") {
            assert.include(message, `found ${JSON.stringify(value.slice(0, 80))}`);
          }
        }
        assert.include(fromFile, `cluster.json: ${key} must be`);
        assert.include(fromOption, `Option ${name} must be`);
        if (typeof value !== "string" || value === "") continue;
        const fromEnvironment = messageOf({ environment: { [environment]: value } });
        assert.match(fromEnvironment, ACCEPTED[key]);
        assert.include(fromEnvironment, `${environment}: ${key} must be`);
        assert.include(fromEnvironment, `found ${JSON.stringify(value.slice(0, 80))}`);
      }
    }
  });

  test("settings: the text of a boolean or a number is none in a file", () => {
    assert.match(messageOf({ file: fileWith("enable_compression", "true") }), /found "true"/);
    assert.match(messageOf({ file: fileWith("max_retries", "3") }), /found "3"/);
    assert.match(messageOf({ file: fileWith("retry_jitter_factor", "0.5") }), /found "0.5"/);
  });

  test("settings: a refused value counts also where another origin wins", () => {
    const file = fileWith("chunk_size", 1);
    const options = { chunkBytes: 4096 };
    assert.include(messageOf({ file, options }), "chunk_size must be");
    const environment = { OLLAMA_TENSOR_MAX_RETRIES: "x" };
    assert.include(messageOf({ environment, options: { maxRetries: 1 } }), "max_retries must be");
  });

  test("settings: any chunk size from 1 KiB to 64 MiB is taken as it is", () => {
    const size = fc.integer({ min: 1024, max: 64 * 1024 * 1024 });
    fc.assert(
      fc.property(size, (bytes) => {
        for (const value of [bytes, String(bytes), `${bytes}B`]) {
          const { settings } = resolveSettings({ file: fileWith("chunk_size", value) });
          assert.equal(settings.chunkBytes, bytes);
        }
        const environment = { OLLAMA_TENSOR_CHUNK_SIZE: String(bytes) };
        assert.equal(resolveSettings({ environment }).settings.chunkBytes, bytes);
      }),
    );
  });

  test("settings: a file of Ollama's cluster mode loads unchanged, its other parts passed over", () => {
    const text = JSON.stringify({
      enabled: false,
      node_name: "узел 7",
      node_role: "coordinator",
      api_host: "0.0.0.0",
      api_port: 11434,
      cluster_host: "10.0.0.7",
      cluster_port: 12094,
      discovery: { method: "mdns", node_list: null, heartbeat_interval: 5_000_000_000 },
      health: { check_interval: 10_000_000_000, enable_detailed_metrics: true },
      tensor_protocol: {
        use_streaming_protocol: false,
        chunk_size: 1_048_577,
        enable_compression: false,
        compression_threshold: 0,
        max_retries: 0,
        retry_base_delay: 60_000,
      },
    });
    const { settings, origins, ignoredKeys } = resolveSettings({ file: { name: "c", text } });
    assert.deepEqual(settings, {
      ...DEFAULT_SETTINGS,
      enabled: false,
      nodeName: "узел 7",
      nodeRole: "coordinator",
      useStreamingProtocol: false,
      chunkBytes: 1_048_577,
      compressionEnabled: false,
      compressionThresholdBytes: 0,
      maxRetries: 0,
      retryBaseDelayMs: 60_000,
    });
    assert.equal(origins.max_retries.origin, "file c");
    assert.equal(origins.retry_max_delay.origin, "default");
    assert.deepEqual(ignoredKeys, [
      "api_host",
      "api_port",
      "cluster_host",
      "cluster_port",
      "discovery",
      "health",
    ]);
    const empty = resolveSettings({ file: { name: "c", text: "\uFEFF{}\n" } });
    assert.deepEqual(empty.settings, DEFAULT_SETTINGS);
  });

  test("settings: an unknown key in tensor_protocol is refused with the nearest known one", () => {
    const message = messageOf({ file: fileWith("chunksize", 4096) });
    assert.include(message, 'cluster.json: tensor_protocol: unknown key "chunksize" (value 4096)');
    assert.include(message, "did you mean chunk_size?");
    assert.include(
      messageOf({ file: fileWith("retry_delay", 1) }),
      "did you mean retry_base_delay?",
    );
    const asOption = messageOf({ file: fileWith("compressionEnabled", true) });
    assert.include(asOption, "did you mean enable_compression?");
    const far = messageOf({ file: fileWith("colour", "blue") });
    assert.notInclude(far, "did you mean");
    for (const key of KEYS.filter((one) => !TOP.includes(one))) assert.include(far, key);
    for (const key of ["constructor", "toString", "node_id"]) {
      assert.include(messageOf({ file: fileWith(key, true) }), `unknown key "${key}"`);
    }
    const proto = { name: "c", text: '{"tensor_protocol": {"__proto__": {"chunk_size": 4096}}}' };
    assert.include(messageOf({ file: proto }), 'unknown key "__proto__"');
  });

  test("settings: a misspelt or misplaced key at the top of a file is refused, a stranger is not", () => {
    const top = (key: string) => ({ name: "c", text: JSON.stringify({ [key]: {} }) });
    for (const key of ["tensor_protocl", "tensorProtocol", "tensor-protocol", "tensor_protocols"]) {
      assert.include(
        messageOf({ file: top(key) }),
        `"${key}" (value an object), did you mean tensor_protocol?`,
      );
    }
    assert.include(messageOf({ file: top("nodeRole") }), "did you mean node_role?");
    assert.include(messageOf({ file: top("chunk_size") }), "chunk_size belongs in tensor_protocol");
    for (const key of ["tensor", "protocol", "node_mode", "node_id", "__proto__", "constructor"]) {
      const file = { name: "c", text: `{"${key}": {"enabled": false}}` };
      const { settings, ignoredKeys } = resolveSettings({ file });
      assert.deepEqual(ignoredKeys, [key]);
      assert.deepEqual(settings, DEFAULT_SETTINGS);
    }
  });

  test("settings: a misspelt name in the environment is refused, a stranger is not", () => {
    const meant = {
      OLLAMA_TENSOR_CHUNKSIZE: "OLLAMA_TENSOR_CHUNK_SIZE",
      OLLAMA_TENSOR_RETRY_BASE_DELAY: "OLLAMA_TENSOR_RETRY_DELAY",
      OLLAMA_TENSOR_USE_STREAMING_PROTOCOL: "OLLAMA_TENSOR_STREAMING_PROTOCOL",
      OLLAMA_CLUSTER_NODENAME: "OLLAMA_CLUSTER_NODE_NAME",
    };
    for (const [name, wanted] of Object.entries(meant)) {
      const message = messageOf({ environment: { [name]: "64" } });
      assert.include(message, `${name} (value "64"), did you mean ${wanted}?`);
      assert.deepEqual(resolveSettings({ environment: { [name]: "" } }).settings, DEFAULT_SETTINGS);
    }
    const environment = {
      OLLAMA_TENSOR_SPLIT: "3,1",
      OLLAMA_TENSOR_PARALLEL: "1",
      OLLAMA_CLUSTER_NODE_LIST: "a,b",
      OLLAMA_CLUSTER_HOST: "10.0.0.1",
      OLLAMA_HOST: "127.0.0.1",
      HOME: "x",
    };
    assert.deepEqual(resolveSettings({ environment }).settings, DEFAULT_SETTINGS);
  });

  test("settings: an unknown option is refused with those that are known", () => {
    const options = { chunkSize: 4096 } as SettingsInputs["options"];
    assert.match(messageOf({ options }), /Unknown option "chunkSize" \(value 4096\).*chunkBytes/);
  });

  test("settings: a file that is no JSON object is refused, with line and column where it has them", () => {
    const text = '{\n  "enabled": true,\n  "node_name": oops\n}';
    const file = { name: "cluster.json", text };
    assert.include(
      messageOf({ file }),
      "cluster.json is no JSON: line 3, column 16: wanted a value",
    );
    for (const [json, found] of [
      ["[]", "an array"],
      ["null", "null"],
      ['"x"', '"x"'],
      ["7", "7"],
    ] as const) {
      assert.equal(
        messageOf({ file: { name: "c", text: json } }),
        `c must be an object, found ${found}`,
      );
      const section = { name: "c", text: `{"tensor_protocol": ${json}}` };
      const message = messageOf({ file: section });
      assert.equal(message, `c: tensor_protocol must be an object, found ${found}`);
    }
  });

  test("settings: whatever a file holds is taken, or refused in one short line", () => {
    const value = fc.oneof(fc.jsonValue(), fc.constantFrom("4MiB", "2s", "unlimited", 4096));
    const key = fc.oneof(fc.constantFrom(...KEYS, "tensor_protocol"), fc.string());
    const flat = fc.dictionary(key, value);
    const content = fc.oneof(
      fc.json(),
      fc.string(),
      flat.map((one) => JSON.stringify(one)),
      flat.map((one) => JSON.stringify({ tensor_protocol: one })),
    );
    fc.assert(
      fc.property(content, (text) => {
        try {
          resolveSettings({ file: { name: "c", text } });
        } catch (error) {
          assert.instanceOf(error, ConfigError);
          assert.isBelow((error as ConfigError).message.length, 1000);
          assert.notInclude((error as ConfigError).message, "\n");
        }
      }),
      { numRuns: 1000 },
    );
  });
};
