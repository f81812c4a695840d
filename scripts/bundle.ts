// Bundles a module and all that it imports into one file, as users' bundlers do.
import { createRequire } from "node:module";
import { join } from "node:path";
import { root } from "./workspace.ts";

/** What of esbuild is used here; it is installed in tests/runtimes/. */
interface Esbuild {
  build(options: {
    entryPoints: string[];
    outfile: string;
    bundle: true;
    format: "esm";
    platform: "neutral";
    mainFields: string[];
    conditions: string[];
    external: string[];
    logLevel: "warning";
  }): Promise<unknown>;
}

/**
 * Writes the bundle of a module.
 *
 * @param entry The module's path in the repository.
 * @param conditions Of package exports, those that hold where the bundle is to run.
 * @param external Modules that are there already.
 */
export async function bundle(
  entry: string,
  outfile: string,
  conditions: readonly string[],
  external: readonly string[] = [],
): Promise<void> {
  const require = createRequire(join(root, "tests/runtimes/package.json"));
  const { build } = require("esbuild") as Esbuild;
  await build({
    entryPoints: [join(root, entry)],
    outfile,
    bundle: true,
    format: "esm",
    platform: "neutral",
    mainFields: ["browser", "module", "main"],
    conditions: [...conditions, "import"],
    external: [...external],
    logLevel: "warning",
  });
}
