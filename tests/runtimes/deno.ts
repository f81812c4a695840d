import { registerSuites, TEST_TIMEOUT_MS } from "./register.ts";

registerSuites("deno", (name, body) => {
  Deno.test(name, async () => {
    // Deno's runner has no time limit of its own.
    const { promise, reject } = Promise.withResolvers<never>();
    const late = new Error(`still running after ${TEST_TIMEOUT_MS} ms`);
    const timer = setTimeout(() => reject(late), TEST_TIMEOUT_MS);
    const ended = (async () => body())();
    await Promise.race([ended, promise]).finally(() => clearTimeout(timer));
  });
});
