// Fails when docs/api/ is not what the docstrings make, or when something public has no docstring;
// `--write` makes it anew. One page for each subpath that programs import.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { installRuntimes } from "./runtimes.ts";
import {
  filesBelow,
  readJson,
  readText,
  report,
  root,
  run,
  withScratchFolder,
} from "./workspace.ts";

const FOLDER = join(root, "docs/api");
const typedoc = join(root, "tests/runtimes/node_modules/typedoc/bin/typedoc");

/** The subpaths' sources; the whole library comes last, so that each thing stands in its own room. */
function entryPoints(): string[] {
  const { exports } = readJson<{ exports: Record<string, string> }>("deno.json");
  const sources = new Set(Object.values(exports).filter((path) => !path.includes("/cli/")));
  sources.delete("./mod.ts");
  return [...sources, "./mod.ts"].map((path) => join(root, path));
}

/** See typedoc's and typedoc-plugin-markdown's documentation of their options. */
const options = {
  name: "headrace",
  plugin: [
    join(root, "tests/runtimes/node_modules/typedoc-plugin-markdown/dist/index.js"),
    join(root, "dist/scripts/reference_throws.js"),
  ],
  entryPoints: entryPoints(),
  tsconfig: join(root, "tsconfig.json"),
  // The sources are checked by a compiler of their own time.
  skipErrorChecking: true,
  readme: "none",
  disableSources: true,
  excludePrivate: true,
  excludeProtected: true,
  treatValidationWarningsAsErrors: true,
  validation: { notDocumented: true, notExported: false, invalidLink: true },
  requiredToBeDocumented: ["Class", "Interface", "TypeAlias", "Function", "Variable", "Method"],
  preservedTypeAnnotationTags: ["@throws"],
  outputFileStrategy: "modules",
  hidePageHeader: true,
  hideBreadcrumbs: true,
  useCodeBlocks: true,
  parametersFormat: "table",
  interfacePropertiesFormat: "table",
};

/** The pages below a folder by their paths. */
function pagesBelow(folder: string): Map<string, string> {
  const paths = filesBelow(relative(root, folder), ".md");
  return new Map(paths.map((path) => [relative(folder, join(root, path)), readText(path)]));
}

/** The pages as the docstrings make them. */
async function makePages(scratch: string): Promise<Map<string, string>> {
  const [optionsFile, path] = [join(scratch, "typedoc.json"), join(scratch, "out")];
  writeFileSync(optionsFile, JSON.stringify({ ...options, outputs: [{ name: "markdown", path }] }));
  const { code, output } = await run(process.execPath, [typedoc, "--options", optionsFile]);
  if (code !== 0) throw new Error(output);
  return pagesBelow(path);
}

await installRuntimes();
const problems: string[] = [];
const wanted = await withScratchFolder(makePages).catch(({ message }: Error) => {
  problems.push(message);
  return new Map<string, string>();
});
if (process.argv.includes("--write") && problems.length === 0) {
  rmSync(FOLDER, { recursive: true, force: true });
  for (const [path, text] of wanted) {
    mkdirSync(dirname(join(FOLDER, path)), { recursive: true });
    writeFileSync(join(FOLDER, path), text);
  }
}
const found = pagesBelow(FOLDER);
const stale = [...new Set([...wanted.keys(), ...found.keys()])].filter(
  (path) => wanted.get(path) !== found.get(path),
);
if (problems.length === 0 && stale.length > 0) {
  problems.push(`stale: ${stale.join(", ")}; node dist/scripts/check_reference.js --write`);
}
report("reference", problems, `${wanted.size} pages say what the docstrings say`);
