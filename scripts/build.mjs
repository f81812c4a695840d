// Builds dist/ from nothing, so that no file of an earlier build survives, unless it is already the
// build of these very sources: npx runs `prepare` once more, perhaps while a headrace runs from
// dist/. The one script in plain JavaScript: it runs before anything is compiled.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, "dist");
const fresh = join(root, ".cache", "build");
const stamp = join(dist, ".built-from");

function sources() {
  const folders = ["lib", "tests", "bench", "examples", "scripts"].filter((folder) =>
    existsSync(join(root, folder)),
  );
  const below = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true })
      .filter(
        (path) => /\.m?ts$|\.(mjs|json|html|css)$/.test(path) && !path.includes("node_modules"),
      )
      .map((path) => join(folder, path)),
  );
  return [
    "mod.ts",
    "deno.json",
    "tsconfig.json",
    "package.json",
    "package-lock.json",
    ...below.sort(),
  ];
}

function hashOfSources() {
  const hash = createHash("sha256");
  for (const path of sources()) hash.update(`${path}\0`).update(readFileSync(join(root, path)));
  return hash.digest("hex");
}

/** The page of `headrace serve --demo`: what it imports as a user would comes from the sources. */
async function bundlePage(outdir) {
  const { build } = await import("esbuild");
  const page = join(root, "examples", "browser");
  const { exports } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
  const alias = Object.entries(exports)
    .map(([subpath, source]) => [subpath.replace(/^\./, "headrace"), join(root, source)])
    .sort(([a], [b]) => b.length - a.length);
  await build({
    entryPoints: ["page", "worker"].map((name) => join(page, `${name}.ts`)),
    outdir,
    bundle: true,
    format: "esm",
    target: "es2022",
    minify: true,
    legalComments: "none",
    alias: Object.fromEntries(alias),
    logLevel: "warning",
  });
  for (const file of ["index.html", "style.css"]) {
    writeFileSync(join(outdir, file), readFileSync(join(page, file)));
  }
}

/**
 * The command line as few files in the place of its many: that halves what each start takes. The
 * files of a bundle lie beside one another, as their sources do.
 */
async function bundleCommand(folder) {
  const { build } = await import("esbuild");
  await build({
    entryPoints: [join(folder, "main.js")],
    outdir: folder,
    allowOverwrite: true,
    bundle: true,
    splitting: true,
    chunkNames: "main-[hash]",
    packages: "external",
    format: "esm",
    platform: "node",
    target: "node20",
    logLevel: "warning",
  });
}

const hash = hashOfSources();
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== hash) {
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  if (!existsSync(compiler))
    throw new Error("Nothing is installed yet: run `npm ci`, which builds");
  rmSync(fresh, { recursive: true, force: true });
  const project = ["-p", join(root, "tsconfig.json"), "--outDir", fresh];
  const { status } = spawnSync(process.execPath, [compiler, ...project], { stdio: "inherit" });

  // npm sets the executable bit when it links a bin, but not again after a rebuild.
  const { bin } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  for (const path of Object.values(bin)) {
    const built = join(fresh, path.replace(/^dist\//, ""));
    if (existsSync(built)) chmodSync(built, 0o755);
  }
  if (status === 0) await bundlePage(join(fresh, "lib", "cli", "demo_page"));
  if (status === 0) await bundleCommand(join(fresh, "lib", "cli"));
  if (status === 0) writeFileSync(join(fresh, ".built-from"), hash);
  else process.exitCode = 1; // The compiler has said what is wrong.
  rmSync(dist, { recursive: true, force: true });
  if (existsSync(fresh)) renameSync(fresh, dist);
}
