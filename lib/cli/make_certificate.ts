import "reflect-metadata";
import {
  BasicConstraintsExtension,
  type JsonGeneralName,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

/** The longest that browsers accept for a certificate that is trusted by its hash alone. */
export const MOST_CERTIFICATE_DAYS = 14;

const DAY_MS = 86_400_000;
/** Machines' clocks differ. */
const BACKDATED_MS = 60_000;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A certificate and its key in PEM, and the SHA-256 of the certificate in hexadecimal. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
  readonly sha256: string;
  readonly expires: Date;
}

/**
 * Makes a self-signed ECDSA P-256 certificate, such as `serverCertificateHashes` of WebTransport takes.
 *
 * @param names The host names and addresses that it is for; the first is its common name.
 * @param days How long it is good for, at most 14.
 */
export async function makeCertificate(
  names: readonly string[],
  days: number,
): Promise<Certificate> {
  const keys = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const notBefore = new Date(Date.now() - BACKDATED_MS);
  const expires = new Date(notBefore.getTime() + days * DAY_MS);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    // What a subject holds is not told by its alternative names: any text may be a common name.
    name: [{ CN: names.slice(0, 1) }],
    keys,
    notBefore,
    notAfter: expires,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new SubjectAlternativeNameExtension(
        names.map(
          (name): JsonGeneralName => ({ type: isAddress(name) ? "ip" : "dns", value: name }),
        ),
      ),
    ],
  });
  const sha256 = hexOf(await crypto.subtle.digest("SHA-256", certificate.rawData));
  const key = pemOf("PRIVATE KEY", await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  return { cert: `${certificate.toString("pem")}\n`, key, sha256, expires };
}

const isAddress = (name: string): boolean => name.includes(":") || /^[\d.]+$/.test(name);

function hexOf(bytes: ArrayBuffer): string {
  return [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** RFC 7468: base64 in lines of 64. */
function pemOf(label: string, bytes: ArrayBuffer): string {
  const base64 = btoa(String.fromCharCode(...new Uint8Array(bytes)));
  const lines = base64.match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
