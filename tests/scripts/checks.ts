import { assert } from "chai";
import { bundleProblems, outputsOf } from "../../scripts/bundle_rules.ts";
import { blocksOf, docstringsOf, fencesOf } from "../../scripts/doc_blocks.ts";
import { exportProblems } from "../../scripts/export_rules.ts";
import { importProblems } from "../../scripts/import_rules.ts";
import { parseJunit } from "../../scripts/junit.ts";
import { lockProblems, mendLock } from "../../scripts/lock_rules.ts";
import { portabilityProblems } from "../../scripts/portability_rules.ts";
import { load as loadThrows } from "../../scripts/reference_throws.ts";
import { importsOf, only, stretchesOf } from "../../scripts/source_text.ts";
import { compareRuns } from "../../scripts/test_verdict.ts";
import { transportTable } from "../../scripts/transport_rules.ts";
import type { Suite } from "../harness.ts";

export const checksSuite: Suite = ({ test }) => {
  test("checks: code, comments and strings are told apart without loss", () => {
    const source = [
      'const a = "// no comment"; // a "comment"',
      `const b = \`text \${ { c: \`in\` }.c } /* text */\`; /* two`,
      "lines */ const d = x / y / z;",
      "const e = /[/\"']`/g.test('it\\'s'); const f = a.b;",
    ].join("\n");
    assert.equal(
      stretchesOf(source)
        .map(({ text }) => text)
        .join(""),
      source,
    );
    const code = only(source, "code");
    assert.equal(code.length, source.length);
    assert.notMatch(code, /comment|two|text|lines|it/);
    assert.match(code, /const d = x \/ y \/ z;/);
    assert.match(code, /\.test\( +\); const f = a\.b;/);
    assert.match(code, /\{ c: `/);
  });

  test("checks: imports are found in every form, but not in comments", () => {
    const source =
      'import a from "./a.ts";\n// import x from "./x.ts";\nexport { b } from \'./b.ts\';\n' +
      'import "./c.ts";\nconst d = await import(\n  "./d.ts");\nimport type {\n E } from "./e.ts";';
    assert.deepEqual(
      importsOf(source).map(({ specifier, line }) => `${specifier}:${line}`),
      ["./a.ts:1", "./b.ts:3", "./c.ts:4", "./d.ts:5", "./e.ts:8"],
    );
  });

  test("checks: an import against the direction of the rooms is caught", () => {
    const from = (path: string, target: string): string[] =>
      importProblems(path, `import { x } from "${target}";`);
    assert.deepEqual(from("lib/streams/a.ts", "../wire/b.ts"), []);
    assert.deepEqual(from("lib/tensor/a.ts", "../errors.ts"), []);
    assert.deepEqual(from("lib/cli/a.ts", "../transports/b.ts"), []);
    assert.deepEqual(from("mod.ts", "./lib/session/peer.ts"), []);
    assert.match(from("lib/tensor/a.ts", "../wire/b.ts").join(), /tensor may not import wire/);
    assert.match(from("lib/wire/a.ts", "../codec/b.ts").join(), /wire may not import codec/);
    assert.match(from("lib/formats/a.ts", "../config/b.ts").join(), /formats may not import/);
    assert.match(from("lib/errors.ts", "./tensor/a.ts").join(), /lib may not import tensor/);
    assert.match(from("lib/config/a.ts", "../cli/b.ts").join(), /config may not import cli/);
    assert.match(from("lib/wire/a.ts", "../../tests/b.ts").join(), /nothing outside itself/);
    assert.match(from("mod.ts", "./lib/transports/a.ts").join(), /portable rooms only/);
    assert.match(from("lib/testing/a.ts", "../transports/b.ts").join(), /testing may not import/);
    assert.match(from("lib/attic/a.ts", "../errors.ts").join(), /not a room/);
    assert.match(importProblems("mod.ts", 'export * from "./lib/errors.ts";').join(), /by name/);
  });

  test("checks: what ties a portable file to one runtime is caught", () => {
    const problems = (source: string): number => portabilityProblems("lib/a.ts", source).length;
    for (const source of [
      "Deno.cwd();",
      "const b = new Buffer(1);",
      "if (process.env.X) {}",
      'const fs = require("fs");',
      'import { gunzip } from "node:zlib";',
      'builtinModule("node:zlib")',
      "globalThis; Bun.gunzipSync(a);",
    ]) {
      assert.isAbove(problems(source), 0, source);
    }
    for (const source of [
      "// Buffer and process",
      'throw new Error("Deno says no");',
      "const ArrayBufferLike = 1; stream.process(); bufferBytes();",
      "interface X { process: number }",
    ]) {
      assert.equal(problems(source), 0, source);
    }
  });

  test("checks: npm and JSR exports that disagree are caught", () => {
    const pair = { types: "./dist/a.d.ts", default: "./dist/a.js" };
    const npm = { version: "1.0.0", exports: { "./a": pair } };
    const jsr = { version: "1.0.0", exports: { "./a": "./a.ts" } };
    const problems = (
      one: Parameters<typeof exportProblems>[0],
      two: Parameters<typeof exportProblems>[1],
      there = true,
    ): string => exportProblems(one, two, () => there).join("; ");
    assert.equal(problems(npm, jsr), "");
    const byRuntime = { "./a": { deno: { types: "./d", default: "./d" }, default: pair } };
    assert.equal(problems({ ...npm, exports: byRuntime }, jsr), "");
    assert.match(problems({ ...npm, version: "1.0.1" }, jsr), /version/);
    assert.match(problems({ ...npm, exports: {} }, jsr), /package.json does not export \.\/a/);
    assert.match(problems(npm, { ...jsr, exports: {} }), /deno.json does not export \.\/a/);
    assert.match(problems({ ...npm, exports: { "./a": "./dist/a.js" } }, jsr), /no types/);
    assert.match(problems(npm, { ...jsr, exports: { "./a": "./b.ts" } }), /elsewhere/);
    assert.match(problems({ ...npm, dependencies: { x: "^1" } }, jsr), /maps x/);
    assert.match(problems(npm, jsr, false), /not there.*not built/);
  });

  test("checks: what a bundle loads at once, may load later and never loads are told apart", () => {
    const to = (path: string, kind = "import-statement") => ({ path, kind });
    const outputs = {
      "entry.js": {
        entryPoint: "<stdin>",
        imports: [to("shared.js"), to("lazy.js", "dynamic-import")],
      },
      "shared.js": { imports: [to("node:fs")] },
      "lazy.js": { entryPoint: "lazy.ts", imports: [to("shared.js"), to("deep.js")] },
      "deep.js": { imports: [] },
      "orphan.js": { entryPoint: "orphan.ts", imports: [] },
    };
    assert.deepEqual(outputsOf({ outputs }), {
      first: ["entry.js", "shared.js"],
      later: ["lazy.js", "deep.js"],
    });
  });

  test("checks: a bundle past its limit is caught, and so is a limit that is no longer needed", () => {
    const limit = { name: "core", source: "", aimBytes: 100 };
    assert.isEmpty(bundleProblems(limit, 99));
    assert.match(bundleProblems(limit, 100).join(), /core .* less than 100 .* found 100/);
    assert.isEmpty(bundleProblems({ ...limit, heldBytes: 200 }, 150));
    assert.match(bundleProblems({ ...limit, heldBytes: 200 }, 99).join(), /remove heldBytes/);
  });

  test("checks: a lock without another platform's package is caught and mended", () => {
    const lock = {
      packages: {
        "": {},
        "node_modules/tool": {
          version: "2.0.0",
          dev: true,
          resolved: "somewhere",
          optionalDependencies: { "@tool/linux-x64-musl": "2.0.0", "@tool/windows-x64": "2.0.0" },
        },
        "node_modules/@tool/windows-x64": { version: "2.0.0" },
      },
    };
    const problems = lockProblems("lock", lock).join("; ");
    assert.match(problems, /tool names the registry/);
    assert.match(problems, /lacks node_modules\/@tool\/linux-x64-musl/);
    assert.notMatch(problems, /windows/);
    const mended = mendLock(lock);
    assert.deepEqual(lockProblems("lock", mended), []);
    assert.deepInclude(mended.packages, {
      "node_modules/@tool/linux-x64-musl": {
        version: "2.0.0",
        cpu: ["x64"],
        dev: true,
        libc: ["musl"],
        optional: true,
        os: ["linux"],
      },
    } as Partial<typeof mended.packages>);
  });

  test("checks: examples are cut out of guides and docstrings with their lines", () => {
    const guide =
      "text\n```ts\none\n```\n```ts ignore: needs a browser\ntwo\n```\n```ts ignore\n```";
    assert.deepEqual(blocksOf(guide), [
      { line: 3, code: "one", ignored: undefined },
      { line: 6, code: "two", ignored: "needs a browser" },
      { line: 9, code: "", ignored: "" },
    ]);
    const source = "/** Short. */\nconst a = 1;\n/**\n * ```ts\n * one {\n *   two }\n * ```\n */";
    assert.deepEqual(blocksOf(docstringsOf(source)), [
      { line: 5, code: "one {\n  two }", ignored: undefined },
    ]);
  });

  test("checks: every block of a guide is found, whatever its language", () => {
    const guide =
      "text\n```sh\nnpm ci\nnpm pack\n```\n`a`\n```\nsaid\n```\n```ts ignore: why\nb\n```";
    assert.deepEqual(fencesOf(guide), ["npm ci\nnpm pack", "said", "b"]);
  });

  test("checks: a JUnit report is read whatever its layout", () => {
    const xml =
      '<testsuites><testcase name="a &lt;b&gt; &quot;c&quot;" time="0"/>' +
      '<testcase time="1" name="two">\n<failure message="x">y</failure></testcase>' +
      '<testcase name="t &#x201C;3&#8221;"><skipped/></testcase></testsuites>';
    assert.deepEqual(parseJunit(xml), [
      { name: 'a <b> "c"', outcome: "passed" },
      { name: "two", outcome: "failed" },
      { name: "t “3”", outcome: "skipped" },
    ]);
  });

  test("checks: a runtime that ran nothing, less, or died is a failure", () => {
    const passing = (...names: string[]) =>
      names.map((name) => ({ name, outcome: "passed" }) as const);
    const names = ["a", "b", "c (deno only)", "d (node26 only)"];
    const full = { runtime: "deno", code: 0, tests: passing(...names) };
    const verdict = (tests: ReturnType<typeof passing>, code = 0) =>
      compareRuns([full, { runtime: "bun", code, tests }], [], true);
    assert.deepInclude(verdict(passing("a", "b")), { passed: 6, failed: 0 });
    assert.match(verdict(passing("a")).lines.join(), /bun: did not run "b"/);
    assert.match(verdict([]).lines.join(), /bun: ran no test/);
    assert.match(verdict(passing("a", "b"), 1).lines.join(), /ended with code 1/);
    assert.equal(compareRuns([full], ["bun"], true).failed, 1);
    const skipped = compareRuns([full], ["bun"], false);
    assert.equal(skipped.failed, 0);
    assert.match(skipped.lines.join(), /SKIPPED bun/);
  });

  test("checks: a cell of the table of transports says yes only where a test passed and none failed", () => {
    const passed = (name: string) => ({ name, outcome: "passed" }) as const;
    const deno = [passed("tcp: a"), { name: "tls: a", outcome: "failed" } as const];
    const chromium = [passed("browser websocket: a (chromium only)")];
    const table = transportTable([
      { runtime: "deno", tests: deno },
      { runtime: "chromium", tests: chromium },
    ]);
    const cells = (row: string) => table.split("\n").find((line) => line.startsWith(`| ${row} |`));
    const none = "not tested";
    assert.equal(
      cells("TCP"),
      `| TCP | ${none} | ${none} | dial, listen | ${none} | ${none} | no [^1] |`,
    );
    assert.equal(cells("TLS"), `| TLS | ${none} | ${none} | fails | ${none} | ${none} | no [^1] |`);
    assert.match(cells("WebSocket") ?? "", /dial \|$/);
    assert.match(table, /^\[\^1\]: a page has no sockets$/m);
  });

  test("checks: the reference says which error is thrown", () => {
    const content: { kind: "code" | "text"; text: string }[] = [{ kind: "text", text: "when bad" }];
    const blockTags = [
      { tag: "@throws", typeAnnotation: "{TypeError}", content },
      { tag: "@throws", content: [] },
    ];
    const project = { reflections: { 1: {}, 2: { comment: { blockTags } } } };
    loadThrows({ converter: { on: (_, listener) => listener({ project }) } });
    assert.equal(content.map(({ text }) => text).join(""), "`TypeError` when bad");
    assert.isEmpty(blockTags[1]?.content);
  });
};
