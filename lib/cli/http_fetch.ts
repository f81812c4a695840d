import tls from "node:tls";
import { UsageError } from "./describe_error.ts";

/** What of `fetch` is used here. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** What Deno's `fetch` takes beside. */
interface DenoFetch {
  createHttpClient(options: { caCerts: string[] }): unknown;
}

/** What newer Nodes have: whom connections of this process trust. */
interface NodeTrust {
  getCACertificates?(): string[];
  setDefaultCACertificates?(certificates: string[]): void;
}

/**
 * A `fetch` that trusts this certificate authority as well, in a process that does nothing else.
 *
 * @throws {UsageError} where the runtime's `fetch` cannot be told.
 */
export async function fetchTrusting(ca: string): Promise<Fetch> {
  if ("Deno" in globalThis) {
    const { Deno } = globalThis as unknown as { Deno: DenoFetch };
    const client = Deno.createHttpClient({ caCerts: [ca] });
    return (url, init) => fetch(url, { ...init, client } as RequestInit);
  }
  if ("Bun" in globalThis) {
    const trust = { tls: { ca: [...tls.rootCertificates, ca] } };
    return (url, init) => fetch(url, { ...init, ...trust } as RequestInit);
  }
  const trust: NodeTrust = tls;
  if (!trust.getCACertificates || !trust.setDefaultCACertificates) {
    throw new UsageError(
      "This Node's fetch cannot be told whom to trust: set NODE_EXTRA_CA_CERTS to the file in place of --ca, or use Node 24.5 or newer",
    );
  }
  trust.setDefaultCACertificates([...trust.getCACertificates(), ca]);
  return (url, init) => fetch(url, init);
}
