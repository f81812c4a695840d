// This module runs in every runtime.

/** A file of the page for people. */
export interface PageFile {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The file at this URL, if the page has one there. */
export function pageFile(_url: URL): PageFile | undefined {
  return undefined;
}
