// The two names of other runtimes' test runners that the files here use.

declare module "bun:test" {
  export function test(name: string, body: () => Promise<void>, timeoutMs: number): void;
}

declare namespace Deno {
  function test(name: string, body: () => Promise<void>): void;
}
