// Puts the page that lib/status serves into lib/status/dashboard_files.ts, as text: it has to be
// there in every runtime, also where there are no files. Run it after a build when the page changed.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { dashboardSource } from "./dashboard_source.ts";
import { root } from "./workspace.ts";

writeFileSync(join(root, "lib/status/dashboard_files.ts"), dashboardSource());
