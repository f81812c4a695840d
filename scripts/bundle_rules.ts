// Which bundles may be how large, as pure functions: `check_bundle.ts` measures, tests hold these.

/** One bundle that is measured. */
export interface BundleLimit {
  readonly name: string;
  /** The module that imports what is measured. */
  readonly source: string;
  /** What it must stay under. */
  readonly aimBytes: number;
  /** What it must stay under until it reaches its aim. */
  readonly heldBytes?: number;
}

/** What is used of esbuild's metafile. */
export interface Metafile {
  readonly outputs: Readonly<
    Record<
      string,
      {
        readonly entryPoint?: string;
        readonly imports: readonly { readonly path: string; readonly kind: string }[];
      }
    >
  >;
}

/**
 * The outputs that are loaded before the entry's first line runs, which are the entry and what it
 * imports statically, and those that it may load later. Others lead nowhere and count nowhere.
 */
export function outputsOf(
  { outputs }: Metafile,
  entryPoint = "<stdin>",
): { readonly first: readonly string[]; readonly later: readonly string[] } {
  const reachedBy = (kinds: readonly string[]): Set<string> => {
    const reached = new Set<string>();
    const visit = (path: string): void => {
      const output = outputs[path];
      if (output === undefined || reached.has(path)) return;
      reached.add(path);
      for (const { path: next, kind } of output.imports) if (kinds.includes(kind)) visit(next);
    };
    for (const [path, output] of Object.entries(outputs)) {
      if (output.entryPoint === entryPoint) visit(path);
    }
    return reached;
  };
  const first = reachedBy(["import-statement"]);
  const all = reachedBy(["import-statement", "dynamic-import"]);
  return { first: [...first], later: [...all].filter((path) => !first.has(path)) };
}

/** What is wrong with a bundle of this size; nothing, mostly. */
export function bundleProblems(limit: BundleLimit, bytes: number): string[] {
  const { name, aimBytes, heldBytes = aimBytes } = limit;
  if (heldBytes > aimBytes && bytes < aimBytes) {
    return [`${name} reaches its aim of ${aimBytes} bytes: remove heldBytes`];
  }
  if (bytes < heldBytes) return [];
  return [`${name} should load less than ${heldBytes} bytes gzipped, found ${bytes}`];
}
