// The one place below the transports that asks a runtime what it has; nothing is asked at import.

/** The global that Node, Deno, Bun and workerd share for reaching their built-in modules. */
interface BuiltinHost {
  process?: { getBuiltinModule?: (name: string) => unknown };
}

/**
 * A built-in module such as `node:zlib`, or `undefined` where the runtime has none. Unlike an
 * import it needs no bundler's help, is synchronous, and costs browsers nothing.
 */
export function builtinModule<T>(name: string): T | undefined {
  return (globalThis as BuiltinHost).process?.getBuiltinModule?.(name) as T | undefined;
}
