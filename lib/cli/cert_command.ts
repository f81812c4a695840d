import { existsSync } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { domainToASCII } from "node:url";
import { StorageError } from "../errors.ts";
import { type Command, defineVerb, valuesOf } from "./command.ts";
import { OUTPUT_ARGS } from "./common_args.ts";
import { UsageError } from "./describe_error.ts";
import { MOST_CERTIFICATE_DAYS, makeCertificate } from "./make_certificate.ts";
import { runVerb } from "./verb.ts";

const DEFAULT_DAYS = "13";
const DEFAULT_NAMES: readonly string[] = ["localhost", "127.0.0.1", "::1"];

/** `headrace cert`. */
export const certCommand: Command = defineVerb({
  name: "cert",
  description:
    "Make a short-lived certificate for serve, and print the hash by which it is trusted",
  args: {
    name: {
      type: "string",
      valueHint: "HOST",
      description: `A host name or address it is for, several times if wanted; default ${DEFAULT_NAMES.join(", ")}`,
    },
    days: {
      type: "string",
      valueHint: "DAYS",
      description: `How long it is good for, at most ${MOST_CERTIFICATE_DAYS}; default ${DEFAULT_DAYS}`,
    },
    output: {
      type: "string",
      alias: "o",
      valueHint: "DIR",
      description: "The folder for cert.pem and key.pem; default: this one",
    },
    overwrite: { type: "boolean", description: "Replace a certificate that is there" },
    ...OUTPUT_ARGS,
  },
  run: (args, rawArgs) =>
    runVerb(args, rawArgs, async ({ report }) => {
      const days = Number(args.days ?? DEFAULT_DAYS);
      if (!(days > 0 && days <= MOST_CERTIFICATE_DAYS)) {
        throw new UsageError(
          `--days takes a number above 0 and up to ${MOST_CERTIFICATE_DAYS}, found "${args.days}": browsers trust none by its hash that is good for longer`,
        );
      }
      const asked = valuesOf(rawArgs, "name").map(checkName);
      const names = asked.length === 0 ? DEFAULT_NAMES : asked;
      const { cert, key, sha256, expires } = await makeCertificate(names, days);
      const folder = args.output ?? ".";
      const [certFile, keyFile] = [join(folder, "cert.pem"), join(folder, "key.pem")];
      const flag = args.overwrite ? "w" : "wx";
      try {
        await mkdir(folder, { recursive: true });
        // Both or none: a key without its certificate would be of no use to anybody.
        if (!args.overwrite && existsSync(certFile)) throw inTheWay(folder);
        await writeFile(keyFile, key, { flag, mode: 0o600 });
        await chmod(keyFile, 0o600);
        await writeFile(certFile, cert, { flag });
      } catch (cause) {
        if (cause instanceof UsageError) throw cause;
        if ((cause as { code?: string }).code === "EEXIST") throw inTheWay(folder);
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new StorageError(`Cannot write the certificate: ${why}`, { cause });
      }
      report.event(
        {
          event: "certificate",
          cert: certFile,
          key: keyFile,
          sha256,
          names,
          expires: expires.toISOString(),
        },
        [
          `Wrote ${certFile} and ${keyFile}, for ${names.join(", ")}, good until ${expires.toISOString().slice(0, 16).replace("T", " ")} UTC.`,
          `SHA-256  ${sha256}`,
          `Serve    headrace serve MODEL --listen https://${hostOf(names)}:12443 --cert ${certFile} --key ${keyFile}`,
          `Dial     headrace pull "https://${hostOf(names)}:12443#sha256=${sha256}"`,
        ].join("\n"),
      );
    }),
});

const LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
const HOST_NAME = new RegExp(`^(\\*\\.)?${LABEL}(\\.${LABEL})*$`);

/**
 * A host name as certificates write it, or an address, which may stand in brackets as in a URL.
 *
 * @throws {UsageError} for what is neither.
 */
function checkName(text: string): string {
  const address = text.replace(/^\[(.*)\]$/, "$1");
  if (isIP(address) !== 0 && !address.includes("%")) return address;
  const name = domainToASCII(text);
  if (HOST_NAME.test(name) && name.length <= 253 && !/^[\d.]+$/.test(name)) return name;
  throw new UsageError(
    `--name takes a host name or an address, without scheme or port, found "${text}"`,
  );
}

const inTheWay = (folder: string): UsageError =>
  new UsageError(`${folder} holds a certificate or key already; add --overwrite`);

const hostOf = ([name = ""]: readonly string[]): string =>
  name.includes(":") ? `[${name}]` : name;
