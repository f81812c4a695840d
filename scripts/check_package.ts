// Packs the package as it would be published, installs it into an empty project, and uses it from
// there: every subpath in every runtime, and its types under both module resolutions.
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Manifest } from "./export_rules.ts";
import { findRuntimes, hasTestRunner, installRuntimes, type Runtime } from "./runtimes.ts";
import { readJson, report, root, run, withScratchFolder } from "./workspace.ts";

const problems: string[] = [];
const compiler = join(root, "node_modules", "typescript", "bin", "tsc");

/** Subpaths that touch a runtime; their types may need Node's. */
const NODE_TYPED = /^\.\/(?:tcp|websocket-node|checkpoint|config|safetensors\/node)/;
const subpaths = Object.keys(readJson<Manifest>("deno.json").exports);
const nameOf = (subpath: string): string => subpath.replace(/^\./, "headrace");
const kindOf = (subpath: string): string | undefined => /-(node|deno|bun)$/.exec(subpath)?.[1];

async function must(what: string, command: string, args: string[], cwd: string): Promise<boolean> {
  const { code, output } = await run(command, args, { cwd, timeoutMs: 300_000 });
  if (code !== 0) problems.push(`${what}: ${output.trim()}`);
  return code === 0;
}

/** Imports each subpath; those of another runtime need only exist. */
async function importEverything(runtime: Runtime, project: string): Promise<void> {
  const wanted = subpaths.filter((subpath) => (kindOf(subpath) ?? runtime.kind) === runtime.kind);
  const lines = wanted.map((subpath) => {
    const name = JSON.stringify(nameOf(subpath));
    return `if (Object.keys(await import(${name})).length === 0) throw new Error(${name} + " is empty");`;
  });
  const file = join(project, `import_${runtime.name}.mjs`);
  writeFileSync(file, lines.join("\n"));
  const args = runtime.kind === "deno" ? ["run", "-A", "--node-modules-dir=manual", file] : [file];
  await must(`import in ${runtime.name}`, runtime.command, args, project);
}

/** Type-checks imports of the subpaths, declaration files included, with only the given types. */
async function typeCheck(
  project: string,
  paths: readonly string[],
  module: { module: string; moduleResolution: string },
  types: readonly string[],
): Promise<void> {
  const label = `${module.moduleResolution}${types.length > 0 ? `-${types.join("-")}` : ""}`;
  const source = paths.map((subpath, index) => {
    const name = JSON.stringify(nameOf(subpath));
    return `import * as m${index} from ${name};\nexport const k${index}: string[] = Object.keys(m${index});`;
  });
  if (paths.includes(".")) {
    source.push(
      'import { HeadraceError, type ErrorCode } from "headrace";',
      'export const code: ErrorCode = new HeadraceError("limit", "typed").code;',
      "// @ts-expect-error: a code that is not of the closed set",
      'new HeadraceError("made_up", "typed");',
    );
  }
  writeFileSync(join(project, `use-${label}.ts`), source.join("\n"));
  const compilerOptions = {
    ...module,
    target: "ES2023",
    lib: ["ES2024", "DOM", "DOM.Iterable", "DOM.AsyncIterable", "ESNext.Disposable"],
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    types,
    typeRoots: [join(root, "node_modules", "@types")],
  };
  const config = join(project, `tsconfig-${label}.json`);
  writeFileSync(config, JSON.stringify({ compilerOptions, files: [`use-${label}.ts`] }));
  await must(`types, ${label}`, process.execPath, [compiler, "-p", config], project);
}

async function checkIn(project: string): Promise<void> {
  if (!(await must("npm pack", "npm", ["pack", "--pack-destination", project], root))) return;
  const tarball = readdirSync(project).find((file) => file.endsWith(".tgz"));
  if (tarball === undefined) {
    problems.push("npm pack made no file");
    return;
  }
  writeFileSync(join(project, "package.json"), '{ "private": true, "type": "module" }');
  const install = ["install", "--no-audit", "--no-fund", "--prefer-offline", `./${tarball}`];
  if (!(await must("npm install", "npm", install, project))) return;

  const packed = readdirSync(join(project, "node_modules", "headrace", "dist"));
  const strangers = packed.filter((name) => !["lib", "mod.d.ts", "mod.js"].includes(name));
  if (strangers.length > 0) problems.push(`the package holds dist/${strangers.join(", dist/")}`);

  await installRuntimes();
  const { found, missing } = await findRuntimes();
  for (const runtime of found.filter(hasTestRunner)) await importEverything(runtime, project);
  for (const name of missing) {
    if (process.env.CI === "true") problems.push(`${name} could not be had`);
    else console.log(`SKIPPED ${name}: COULD NOT BE HAD ON THIS MACHINE`);
  }

  const portable = subpaths.filter((subpath) => !NODE_TYPED.test(subpath));
  const nodeNext = { module: "NodeNext", moduleResolution: "NodeNext" };
  const bundler = { module: "ESNext", moduleResolution: "bundler" };
  for (const resolution of [nodeNext, bundler]) {
    await typeCheck(project, portable, resolution, []);
    await typeCheck(project, subpaths, resolution, ["node"]);
  }
}

await withScratchFolder(checkIn);
report("package", problems, `${subpaths.length} subpaths work from the packed package`);
