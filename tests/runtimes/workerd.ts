// What workerd runs: GET / names the tests, GET /NAME runs one; scripts/run_portable.ts asks.
import { portableTests, runPortable } from "./portable.ts";

const LIMIT_MS = 60_000;
const tests = portableTests("workerd");

export default {
  async fetch(request: Request): Promise<Response> {
    const name = decodeURIComponent(new URL(request.url).pathname.slice(1));
    if (name === "") return Response.json([...tests.keys()]);
    return Response.json(await runPortable(tests, name, LIMIT_MS));
  },
};
