// The transports that a bench can run over, as the runtime has them.
import process from "node:process";
import type { Connection, Listener } from "../../lib/connection.ts";
import { tcpAdapterOf } from "../../tests/transports/adapter.ts";
import type { TestCertificate } from "../../tests/transports/certificate.ts";
import { webSocketAdapterOf } from "../../tests/transports/websocket_adapter.ts";
import { runtimeName } from "./compare.ts";

export type Transport = "tcp" | "websocket" | "webtransport";

/** One of them. */
export interface BenchTransport {
  urlOf(host: string, port: number): string;
  connect(url: string): Promise<Connection>;
  listen(url: string): Promise<Listener>;
}

/** Where the starting process leaves the certificate for both ends. */
const CERTIFICATE_VARIABLE = "HEADRACE_BENCH_CERTIFICATE";

/** Gives both ends this certificate. */
export function leaveCertificate(certificate: TestCertificate): void {
  process.env[CERTIFICATE_VARIABLE] = JSON.stringify(certificate);
}

/** The certificate that the starting process left. */
export function certificateHere(): TestCertificate {
  return JSON.parse(process.env[CERTIFICATE_VARIABLE] ?? "");
}

export async function transportOf(name: Transport): Promise<BenchTransport> {
  const runtime = runtimeName().replace(/\d+$/, "");
  if (name === "tcp") {
    return { urlOf: (host, port) => `tcp://${host}:${port}`, ...tcpAdapterOf(runtime) };
  }
  if (name === "websocket") {
    const { connect, listen } = webSocketAdapterOf(runtime);
    return {
      urlOf: (host, port) => `ws://${host}:${port}`,
      connect,
      // The page of a bench is let in.
      listen: (url) => listen(url, { origins: ["*"] }),
    };
  }
  const { connect, listen } = await import("../../lib/transports/webtransport_deno.ts");
  const { cert, key, sha256 } = certificateHere();
  return {
    urlOf: (host, port) => `https://${host}:${port}`,
    connect: (url) => connect(`${url}#sha256=${sha256}`),
    listen: (url) => listen(url, { cert, key }),
  };
}
