// What a package-lock.json must be so that `npm ci` works on every machine, as pure functions.

/** An entry of a lock, with the fields that are looked at here. */
export interface LockEntry {
  readonly version?: string;
  readonly resolved?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** A package-lock.json. */
export interface Lock {
  readonly packages: Readonly<Record<string, LockEntry>>;
}

const PLATFORM =
  /(aix|android|darwin|freebsd|linux|netbsd|openbsd|sunos|win32|windows)-(\w+?)(?:-(musl|glibc))?$/;

/**
 * The entries that a lock lacks for packages of other platforms. npm leaves out what the registry
 * at hand does not have at that moment, and then `npm ci` refuses the lock everywhere.
 */
export function missingEntries(lock: Lock): Record<string, LockEntry> {
  const missing: Record<string, LockEntry> = {};
  for (const { dev, optionalDependencies } of Object.values(lock.packages)) {
    for (const [name, version] of Object.entries(optionalDependencies ?? {})) {
      const key = `node_modules/${name}`;
      const [, os, cpu, libc] = PLATFORM.exec(name) ?? [];
      if (key in lock.packages || os === undefined || cpu === undefined) continue;
      missing[key] = {
        version,
        cpu: [cpu],
        ...(dev === true && { dev }),
        ...(libc !== undefined && { libc: [libc] }),
        optional: true,
        os: [os === "windows" ? "win32" : os],
      };
    }
  }
  return missing;
}

/** The lock as it has to be: complete, in npm's order, and naming no registry. */
export function mendLock<T extends Lock>(lock: T): T {
  const all = { ...lock.packages, ...missingEntries(lock) };
  const sorted = Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1));
  const packages = sorted.map(([name, { resolved: _, ...entry }]) => [name, entry]);
  return { ...lock, packages: Object.fromEntries(packages) };
}

/** What would keep `npm ci` from working elsewhere. */
export function lockProblems(path: string, lock: Lock): string[] {
  const located = Object.entries(lock.packages).filter(([, entry]) => entry.resolved !== undefined);
  return [
    ...located.map(([name]) => `${path}: ${name} names the registry it came from`),
    ...Object.keys(missingEntries(lock)).map((name) => `${path}: lacks ${name}`),
  ];
}
