// This module runs in every runtime.
import { LimitError } from "../errors.ts";

/** What file systems take, in bytes of UTF-8. */
const MAX_FILE_NAME_BYTES = 255;

/** Characters that some file system or shell gives a meaning, the controls, and the escape itself. */
const UNSAFE = /[\p{Cc}/\\:*?"<>|%]/gu;
const NOT_ASCII = /\P{ASCII}/gu;

/** Device names that Windows finds in any folder, with any extension. */
const RESERVED = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(?:\.|$)/i;

const utf8 = new TextEncoder();

function escapeBytes(text: string): string {
  let escaped = "";
  for (const byte of utf8.encode(text)) {
    escaped += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return escaped;
}

/**
 * A file name that any file system takes and that stays inside its folder, made from any name by
 * percent-encoding what is unsafe; names such as `model-00001-of-00003.safetensors` stay as they are.
 *
 * Two different names never give the same file name, not even where the file system compares
 * names by their Unicode normal form; `decodeURIComponent` gives the name back (the empty name
 * becomes a lone `%`). Names that differ in case alone do stay different only where case counts.
 * No result begins with a dot: those names are headrace's own.
 *
 * @throws {TypeError} for half a surrogate pair.
 * @throws {LimitError} for a result of more than 255 bytes: a shortened name could collide.
 */
export function safeFileName(name: string): string {
  if (!name.isWellFormed()) throw new TypeError("A file name holds half a surrogate pair");
  if (name === "") return "%";
  let safe = name.replace(UNSAFE, escapeBytes);
  if (name !== name.normalize("NFC")) safe = safe.replace(NOT_ASCII, escapeBytes);
  safe = safe.replace(/[. ]$/, escapeBytes);
  if (RESERVED.test(safe) || safe.startsWith(".")) {
    safe = escapeBytes(safe.charAt(0)) + safe.slice(1);
  }
  const bytes = utf8.encode(safe).byteLength;
  if (bytes > MAX_FILE_NAME_BYTES) {
    throw new LimitError(
      `A file name may take ${MAX_FILE_NAME_BYTES} bytes, but "${safe.slice(0, 40)}..." takes ${bytes}`,
    );
  }
  return safe;
}

/** Equal for two file names that a file system which ignores case would take for one. */
export function foldFileName(safeName: string): string {
  return safeName.toUpperCase().toLowerCase().normalize("NFC");
}
