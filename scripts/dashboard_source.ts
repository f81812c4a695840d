// The source text of lib/status/dashboard_files.ts, made of the built page, its styles and uPlot.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { readText, root } from "./workspace.ts";

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
};
const UPLOT = "node_modules/uplot/dist";

/** What {@linkcode file} is served as, by its path. */
function files(): Map<string, string> {
  const page = "lib/status/dashboard";
  const built = readdirSync(join(root, "dist", page)).filter((name) => name.endsWith(".js"));
  return new Map([
    ["/", readText(`${page}/index.html`)],
    ["/dashboard/dashboard.css", readText(`${page}/dashboard.css`)],
    ["/format.js", readText("dist/lib/status/format.js")],
    ...built
      .sort()
      .map((name): [string, string] => [`/dashboard/${name}`, readText(`dist/${page}/${name}`)]),
    ["/uplot.css", withLicense(readText(`${UPLOT}/uPlot.min.css`))],
    ["/uplot.js", withLicense(readText(`${UPLOT}/uPlot.iife.min.js`))],
  ]);
}

/** Whoever serves it passes it on. */
function withLicense(text: string): string {
  return `/*\nuPlot, ${readText("node_modules/uplot/LICENSE").trim()}\n*/\n${text}`;
}

/** Everything as one module. */
export function dashboardSource(): string {
  const entries = [...files()].map(([path, body]) => {
    const type = TYPES[path === "/" ? "html" : (path.split(".").pop() ?? "")];
    return `  ${JSON.stringify(path)}: {\n    type: ${JSON.stringify(type)},\n    body: ${JSON.stringify(body)},\n  },`;
  });
  return `// This module runs in every runtime.
// Made by scripts/build_dashboard.ts of lib/status/dashboard and uPlot: change those.

/** The files of the page for people, by the path of their URL. */
export const DASHBOARD_FILES: Readonly<
  Record<string, { readonly type: string; readonly body: string }>
> = {
${entries.join("\n")}
};
`;
}
