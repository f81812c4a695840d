import { CODEC_NAMES } from "../config/known_codecs.ts";
import { createNodeDeflate } from "../platform/zlib.ts";
import { VERSION } from "../version.ts";
import { createReport } from "./report.ts";

/** Prints this version, the runtime that it runs in, and the codecs found there. */
export function printVersion(json: boolean): void {
  const runtime = runtimeFound();
  const zlib = createNodeDeflate() ? "the runtime's own" : "portable";
  const codecs = CODEC_NAMES.map((name) => ({
    name,
    ...(name === "deflate" && { implementation: zlib }),
  }));
  const words = codecs.map((one) =>
    one.implementation ? `${one.name} (${one.implementation})` : one.name,
  );
  const { name, version } = runtime;
  const { platform, arch } = process;
  createReport(json).event(
    { event: "version", version: VERSION, runtime, platform, arch, codecs },
    `headrace ${VERSION}\n${name} ${version}, ${platform} ${arch}\ncodecs: ${words.join(", ")}`,
  );
}

function runtimeFound(): { readonly name: string; readonly version: string } {
  const { deno, bun, node } = process.versions as NodeJS.ProcessVersions & { deno?: string };
  if (deno !== undefined) return { name: "deno", version: deno };
  if (bun !== undefined) return { name: "bun", version: bun };
  return { name: "node", version: node };
}
