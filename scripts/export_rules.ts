// What package.json and deno.json have to agree on, as a pure function; check_exports.ts applies it.

/** A target of an npm export: a file, or by condition. */
export type ExportTarget = string | { readonly [condition: string]: ExportTarget };

/** The fields of package.json and of deno.json that are compared. */
export interface Manifest {
  readonly version: string;
  readonly exports: Readonly<Record<string, ExportTarget>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly imports?: Readonly<Record<string, string>>;
}

/** Files that are no code, which only npm can export: for the version, and for editors. */
const NPM_ONLY: readonly string[] = ["./package.json", "./config/schema.json"];

/** The built file of a source file: `./lib/x.ts` becomes `./dist/lib/x.js`. */
export function builtFileOf(source: string): string {
  return source.replace(/^\.\//, "./dist/").replace(/\.ts$/, ".js");
}

/** Every `{ types, default }` pair below an npm export, with the conditions that lead to it. */
function leavesOf(target: ExportTarget, conditions: string): [string, ExportTarget][] {
  if (typeof target === "string" || "types" in target) return [[conditions, target]];
  return Object.entries(target).flatMap(([name, inner]) =>
    leavesOf(inner, `${conditions} (${name})`),
  );
}

/** Where the two manifests disagree, and which of their targets `exists` does not know. */
export function exportProblems(
  npm: Manifest,
  jsr: Manifest,
  exists: (path: string) => boolean,
): string[] {
  const problems: string[] = [];
  if (npm.version !== jsr.version) {
    problems.push(`package.json is version ${npm.version}, deno.json ${jsr.version}`);
  }
  for (const [name, range] of Object.entries(npm.dependencies ?? {})) {
    const mapped = jsr.imports?.[name];
    if (mapped !== `npm:${name}@${range}`) {
      problems.push(`deno.json maps ${name} to ${mapped}, package.json wants ${range}`);
    }
  }
  for (const name of Object.keys(jsr.imports ?? {})) {
    if (!(name in (npm.dependencies ?? {})))
      problems.push(`package.json does not depend on ${name}`);
  }
  for (const subpath of new Set([...Object.keys(npm.exports), ...Object.keys(jsr.exports)])) {
    if (NPM_ONLY.includes(subpath)) continue;
    const source = jsr.exports[subpath];
    const target = npm.exports[subpath];
    if (typeof source !== "string") problems.push(`deno.json does not export ${subpath}`);
    else if (!exists(source))
      problems.push(`${subpath}: deno.json names ${source}, which is not there`);
    if (target === undefined) {
      problems.push(`package.json does not export ${subpath}`);
      continue;
    }
    const leaves = leavesOf(target, subpath);
    for (const [where, leaf] of leaves) {
      const { types, default: code } = typeof leaf === "string" ? { default: leaf } : leaf;
      for (const [kind, path] of [
        ["types", types],
        ["default", code],
      ] as const) {
        if (typeof path !== "string") problems.push(`${where}: package.json gives no ${kind}`);
        else if (!exists(path))
          problems.push(`${where}: package.json names ${path}, which is not built`);
      }
    }
    const built = typeof source === "string" ? builtFileOf(source) : undefined;
    if (!leaves.some(([, leaf]) => typeof leaf === "object" && leaf.default === built)) {
      problems.push(`${subpath}: npm leads elsewhere than JSR, which leads to ${source}`);
    }
  }
  return problems;
}
