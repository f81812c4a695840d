// What a suite may use; the file in runtimes/ that runs it decides what is behind it.

/** Registers tests with the runtime's own test runner. */
export interface Harness {
  /** `node20`, `node26`, `deno`, `bun`, ... */
  readonly runtime: string;
  /** The names of all tests, once a test runs. */
  readonly names: ReadonlySet<string>;
  test(name: string, body: () => void | Promise<void>): void;
}

/** A file of tests: `suite(harness)` registers them all. */
export type Suite = (harness: Harness) => void;
