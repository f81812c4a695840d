// Type-checks and runs every ```ts block of README.md, docs/ and lib/'s docstrings, and every file
// of examples/, as a reader would: importing "headrace". A block marked ```ts ignore REASON is only counted.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { blocksOf, type DocBlock, docstringsOf } from "./doc_blocks.ts";
import { findRuntimes, installRuntimes, type Runtime } from "./runtimes.ts";
import { filesBelow, readText, report, root, run, withScratchFolder } from "./workspace.ts";

/** Inside the repository, where "headrace" means the package itself. */
const FOLDER = join(root, ".cache", "docs");
const EXAMPLE_LIMIT_MS = 60_000;
const AT_ONCE = 2;

interface Example extends DocBlock {
  readonly from: string;
  /** The name of the generated file, without its ending. */
  readonly name: string;
}

function textBlocks(path: string): DocBlock[] {
  if (path.startsWith("examples/")) return [{ line: 1, code: readText(path), ignored: undefined }];
  return blocksOf(path.endsWith(".ts") ? docstringsOf(readText(path)) : readText(path));
}

function examplesOf(path: string): Example[] {
  return textBlocks(path).map((block) => ({
    ...block,
    from: `${path}:${block.line}`,
    name: `${path.replace(/[^a-z0-9]+/gi, "_")}_${block.line}`,
  }));
}

function writeProject(examples: readonly Example[]): void {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  for (const { name, line, code } of examples) {
    // As many empty lines in front as in the guide, so that errors point at its lines.
    writeFileSync(join(FOLDER, `${name}.ts`), `${"\n".repeat(line - 1)}${code}\nexport {};\n`);
  }
  const compilerOptions = {
    rootDir: ".",
    outDir: "built",
    isolatedDeclarations: false,
    declaration: false,
    noUnusedLocals: false,
  };
  const config = {
    extends: "../../tsconfig.json",
    compilerOptions,
    include: ["*.ts"],
    exclude: [],
  };
  writeFileSync(join(FOLDER, "tsconfig.json"), JSON.stringify(config));
}

await installRuntimes();
const { found } = await findRuntimes();

/** The runtime an example is for: the one whose subpath it imports, else the node that runs this. */
function runtimeOf({ code }: Example): Runtime | undefined {
  const kind = /from "headrace\/(?:tcp|websocket)-(deno|bun)"/.exec(code)?.[1] ?? "node";
  return found.find((runtime) => runtime.kind === kind);
}

async function runExample(example: Example): Promise<string[]> {
  const { name, from } = example;
  const runtime = runtimeOf(example);
  if (runtime === undefined) return [`${from}: its runtime could not be had`];
  return withScratchFolder(async (cwd) => {
    const file = join(FOLDER, "built", `${name}.js`);
    // What a reader's own folder has at least.
    writeFileSync(join(cwd, "package.json"), '{ "type": "module" }\n');
    const flags = runtime.kind === "deno" ? ["run", "-A"] : [];
    const { code, output } = await run(runtime.command, [...flags, file], {
      cwd,
      // What an example leaves there goes with the folder.
      env: { TMPDIR: cwd },
      timeoutMs: EXAMPLE_LIMIT_MS,
    });
    return code === 0 ? [] : [`${from}: ended with code ${code}\n${output.trimEnd()}`];
  });
}

const sources = [
  "README.md",
  // What docs/api/ shows are the docstrings' examples.
  ...filesBelow("docs", ".md").filter((path) => !path.startsWith("docs/api/")),
  // Those in folders of their own run elsewhere, and are bundled or tested there.
  ...filesBelow("examples", ".ts").filter((path) => path.split("/").length === 2),
  ...filesBelow("lib", ".ts"),
];
const all = sources.flatMap(examplesOf);
const examples = all.filter(({ ignored }) => ignored === undefined);
const ignored = all.filter((example) => example.ignored !== undefined);
const problems = ignored
  .filter((example) => example.ignored === "")
  .map(({ from }) => `${from}: ignored without a reason; write \`\`\`ts ignore REASON`);

writeProject(examples);
const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
const types = await run(process.execPath, [compiler, "-p", join(FOLDER, "tsconfig.json")]);
const typeErrors = types.code === 0 ? [] : types.output.trim().split("\n");
problems.push(...typeErrors);

const waiting = examples.filter(
  ({ name }) => !typeErrors.some((line) => line.includes(`${name}.ts`)),
);
const worker = async (): Promise<void> => {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    problems.push(...(await runExample(next)));
  }
};
await Promise.all(Array.from({ length: AT_ONCE }, worker));
report(
  "docs",
  problems,
  `${examples.length} examples ran, ${ignored.length} ignored with a reason`,
);
