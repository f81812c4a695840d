// Fails when a bundle grows: what a page loads for the whole library, for a peer, and for one stage
// used by itself, minified and gzipped, dependencies included. What is imported lazily is not loaded
// before it is needed and stands in a column of its own.
import { createRequire } from "node:module";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type BundleLimit, bundleProblems, type Metafile, outputsOf } from "./bundle_rules.ts";
import { installRuntimes } from "./runtimes.ts";
import { report, root } from "./workspace.ts";

/** What is used of esbuild, which lives with the test runtimes. */
interface Esbuild {
  build(options: Record<string, unknown>): Promise<{
    outputFiles: { path: string; contents: Uint8Array }[];
    metafile: Metafile;
  }>;
}

const KILOBYTE = 1000;
const CORE_BYTES = 30 * KILOBYTE;
const STAGE_BYTES = 6 * KILOBYTE;
const STAGES = [
  "ChunkerStream",
  "ChecksumStream",
  "CompressorStream",
  "FrameEncoderStream",
  "DecompressorStream",
  "VerifierStream",
  "AssemblerStream",
];

const streams = (name: string): string => `export { ${name} } from "headrace/streams";`;

/** `heldBytes` stands where the aim is not reached yet: it may be lowered, never raised. */
const LIMITS: readonly BundleLimit[] = [
  {
    name: "everything",
    source: 'export * from "headrace";',
    aimBytes: CORE_BYTES,
    heldBytes: 63_000,
  },
  {
    name: "TensorPeer",
    source: 'export { TensorPeer } from "headrace";',
    aimBytes: CORE_BYTES,
    heldBytes: 53_500,
  },
  { name: "every stage", source: 'export * from "headrace/streams";', aimBytes: CORE_BYTES },
  // Not a stage but the end of a pipe: it dials, says hello and repeats.
  { name: "retryingWriter", source: streams("retryingWriter"), aimBytes: CORE_BYTES },
  {
    name: "FrameDecoderStream",
    source: streams("FrameDecoderStream"),
    aimBytes: STAGE_BYTES,
    heldBytes: 7_100,
  },
  ...STAGES.map((name) => ({ name, source: streams(name), aimBytes: STAGE_BYTES })),
];

async function measure(esbuild: Esbuild, { source }: BundleLimit) {
  const { outputFiles, metafile } = await esbuild.build({
    stdin: { contents: source, resolveDir: root },
    absWorkingDir: root,
    bundle: true,
    minify: true,
    splitting: true,
    metafile: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2023",
    outdir: "out",
  });
  const bytesOf = (names: readonly string[]): number =>
    names
      .map((name) => outputFiles.find(({ path }) => path === join(root, name))?.contents)
      .reduce((bytes, contents) => bytes + gzipSync(contents ?? "", { level: 9 }).byteLength, 0);
  const { first, later } = outputsOf(metafile);
  return { firstBytes: bytesOf(first), laterBytes: bytesOf(later) };
}

const kilobytes = (bytes: number): string => (bytes / KILOBYTE).toFixed(1).padStart(7);

await installRuntimes();
const require = createRequire(join(root, "tests", "runtimes", "package.json"));
const esbuild: Esbuild = require("esbuild");
const problems: string[] = [];
console.log("kB gzipped           loaded   lazily  aim");
for (const limit of LIMITS) {
  const { firstBytes, laterBytes } = await measure(esbuild, limit);
  const aim = `${kilobytes(limit.aimBytes)}${firstBytes < limit.aimBytes ? "" : "  not reached"}`;
  console.log(`${limit.name.padEnd(20)}${kilobytes(firstBytes)}  ${kilobytes(laterBytes)}${aim}`);
  problems.push(...bundleProblems(limit, firstBytes));
}
report("bundle", problems, `${LIMITS.length} bundles within their limits`);
