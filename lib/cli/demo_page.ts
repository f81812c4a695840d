import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ConfigError } from "../errors.ts";
import { type OriginRules, whyRefused } from "../origin_rules.ts";

/** Where `serve --demo` listens for browsers unless told otherwise: a browser keeps files by port. */
export const DEFAULT_DEMO_URL = "http://127.0.0.1:12095";

type Handler = (request: Request) => Promise<Response>;

const TYPES = {
  "index.html": "text/html; charset=utf-8",
  "style.css": "text/css; charset=utf-8",
  "page.js": "text/javascript; charset=utf-8",
  "worker.js": "text/javascript; charset=utf-8",
} as const;

/** Nothing from elsewhere, but a connection to whatever server one names. */
const POLICY =
  "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src data:; connect-src 'self' ws: wss: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/**
 * Puts the page that loads a model into a browser before another handler: it has `/`, for
 * whoever takes HTML, and the few files that it needs; everything else is the other's. The page holds nothing secret, so that no
 * token is asked for it.
 *
 * @throws {ConfigError} when the page was not built.
 */
export async function withDemoPage(next: Handler, rules: OriginRules): Promise<Handler> {
  const folder = await findPage();
  const files = new Map<string, { body: Uint8Array<ArrayBuffer>; type: string }>();
  for (const [name, type] of Object.entries(TYPES)) {
    const path = name === "index.html" ? "/" : `/${name}`;
    files.set(path, { body: new Uint8Array(await readFile(join(folder, name))), type });
  }
  return async (request) => {
    const { pathname, host } = new URL(request.url);
    const file = files.get(pathname);
    if (file === undefined || !["GET", "HEAD"].includes(request.method)) return next(request);
    // Programs ask `/` for the list of models.
    const accepted = request.headers.get("accept") ?? "";
    if (pathname === "/" && !accepted.includes("text/html")) return next(request);
    const why = whyRefused({ host: request.headers.get("host") ?? host, origin: null }, rules);
    if (why !== undefined) return new Response(`${why}\n`, { status: 403 });
    const headers = {
      "content-type": file.type,
      "content-length": String(file.body.byteLength),
      "content-security-policy": POLICY,
      "cache-control": "no-cache",
      vary: "Accept",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
    };
    return new Response(request.method === "GET" ? file.body : null, { headers });
  };
}

/** Beside this module where that was built; else in the build of the sources that run. */
async function findPage(): Promise<string> {
  const here = dirname(fileURLToPath(import.meta.url));
  const folders = [join(here, "demo_page"), join(here, "../../dist/lib/cli/demo_page")];
  for (const folder of folders) {
    const isThere = await readFile(join(folder, "index.html")).then(
      () => true,
      () => false,
    );
    if (isThere) return folder;
  }
  throw new ConfigError("The page of --demo is not built: run npm run build");
}
