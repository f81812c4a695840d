// Builds dist/ from nothing, so that no file of an earlier build survives. The one script that is
// plain JavaScript: it runs before anything is compiled, on the oldest Node we support.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const manifest = createRequire(import.meta.url)("../package.json");
const compiler = join(root, "node_modules", "typescript", "bin", "tsc");

rmSync(join(root, "dist"), { recursive: true, force: true });
try {
  execFileSync(process.execPath, [compiler, "-p", join(root, "tsconfig.json")], {
    stdio: "inherit",
  });
} catch {
  process.exitCode = 1; // The compiler has said what is wrong.
}

// npm sets the executable bit when it links a bin, but not again after a rebuild.
for (const bin of Object.values(manifest.bin)) {
  if (existsSync(join(root, bin))) chmodSync(join(root, bin), 0o755);
}
