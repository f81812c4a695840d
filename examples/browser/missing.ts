// What this page cannot have here, and what it does instead.

/** One sentence for each thing that is missing. */
export function whatIsMissing(): string[] {
  const missing: string[] = [];
  const { crypto, navigator, isSecureContext } = globalThis;
  if (crypto?.subtle === undefined) {
    missing.push(
      "The browser's own SHA-256 (crypto.subtle): digests are computed in plain JavaScript, which is slower and just as strict.",
    );
  }
  if (navigator.storage?.getDirectory === undefined || navigator.locks === undefined) {
    missing.push(
      "Files of its own (OPFS): the model is kept in memory, and loading begins anew with the page.",
    );
  }
  if (missing.length > 0 && !isSecureContext) {
    missing.push(
      "Both need a secure context: open the page by https://, or on this machine by http://localhost.",
    );
  }
  return missing;
}
