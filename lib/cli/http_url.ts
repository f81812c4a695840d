import { type AddressPattern, parsePattern } from "../tensor/address.ts";
import { UsageError } from "./describe_error.ts";

/** What a URL of plain HTTP names: a headrace server's tensors, or a file on any web server. */
export type HttpUrl =
  | { readonly kind: "server"; readonly url: string; readonly pattern: AddressPattern }
  | { readonly kind: "file"; readonly url: string; readonly tensor: string };

const FILE = /\.safetensors$/i;

/**
 * Reads `http://HOST[:PORT][/MODEL[/PARTITION[/TENSOR]]]`, and `http://HOST/PATH.safetensors`, with a
 * query if it has one, which is a file whatever serves it: `#TENSOR` names tensors of it, where `*`
 * stands for anything. `https:` names a peer, unless its path is a file's or `isPlain` is given.
 *
 * @returns `undefined` for a URL that is no plain HTTP's.
 * @throws {UsageError} for one that is, and is wrong.
 */
export function parseHttpUrl(text: string, isPlain: boolean): HttpUrl | undefined {
  const [, origin = "", rest = ""] = /^(https?:\/\/[^/?#]*)(.*)$/i.exec(text) ?? [];
  if (origin === "") {
    if (isPlain) throw new UsageError(`--http is for https:// URLs, found "${text}"`);
    return undefined;
  }
  const isTls = /^https:/i.test(origin);
  const [path = ""] = rest.split(/[?#]/, 1);
  const isFile = FILE.test(path);
  if (isTls && !isFile && !isPlain) return undefined;
  if (!URL.canParse(origin) || origin.includes("@")) {
    throw new UsageError(
      `"${origin.replace(/\/\/.*@/, "//***@")}" is not a web server; write http://HOST:PORT, and its token in a file`,
    );
  }
  try {
    if (isFile) {
      const [url = "", tensor = ""] = text.split(/#(.*)/s);
      parsePattern(tensor.replaceAll("/", "%2F"));
      return { kind: "file", url, tensor };
    }
    if (/[?#]/.test(rest)) throw new Error(`"${text}" has a query or a #, which no model has`);
    const pattern = parsePattern(path.replace(/^\//, "").replace(/\/$/, ""));
    return { kind: "server", url: origin, pattern };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
