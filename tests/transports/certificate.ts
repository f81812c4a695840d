import { execFileSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A self-signed certificate for localhost, good for two days, as its own authority. */
export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
  readonly sha256: string;
}

/** Makes one with the machine's openssl. */
export function makeCertificate(): TestCertificate {
  const folder = mkdtempSync(join(tmpdir(), "headrace-certificate-"));
  try {
    const certFile = join(folder, "cert.pem");
    const keyFile = join(folder, "key.pem");
    const names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
    // Deno refuses an authority's certificate at the end of a chain.
    const usage = "basicConstraints=critical,CA:FALSE";
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    const subject = ["-subj", "/CN=localhost", "-addext", names, "-addext", usage];
    execFileSync(
      "openssl",
      ["req", "-x509", ...curve, ...subject, "-keyout", keyFile, "-out", certFile],
      { stdio: "pipe" },
    );
    const cert = readFileSync(certFile, "utf8");
    const sha256 = createHash("sha256").update(new X509Certificate(cert).raw).digest("hex");
    return { cert, key: readFileSync(keyFile, "utf8"), sha256 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
