// A server of the files in a folder, for pages in tests.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

/** A server on loopback. */
export interface FolderServer {
  /** `http://127.0.0.1:PORT/` */
  readonly url: string;
  close(): Promise<void>;
}

/** With these a page is isolated, and has memory that it can share with its workers. */
const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
};

const TYPES: Readonly<Record<string, string>> = { html: "text/html", js: "text/javascript" };

/** Serves what lies right in the folder; `/` is its `index.html`. */
export async function serveFolder(folder: string): Promise<FolderServer> {
  const server = createServer(async ({ url = "/" }, response) => {
    const name = /^\/([\w-]+\.\w+)$/.exec(url)?.[1] ?? (url === "/" ? "index.html" : "none");
    try {
      const body = await readFile(join(folder, name));
      const type = TYPES[name.split(".")[1] ?? ""] ?? "application/octet-stream";
      response.writeHead(200, { "content-type": type, ...ISOLATED }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
