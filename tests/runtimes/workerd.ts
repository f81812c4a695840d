// What workerd runs: GET / names the tests, GET /NAME runs one; scripts/run_portable.ts asks.
import { answerUpgrade, cloudflareSuite } from "../transports/cloudflare.ts";
import { type PortableTests, portableTests, runPortable, testsOf } from "./portable.ts";

const LIMIT_MS = 60_000;
const tests = portableTests("workerd");

/** The tests of what workers alone have; the relay's port is a header of each request. */
function workerTests({ url, headers }: Request): PortableTests {
  const relayUrl = `tcp://127.0.0.1:${headers.get("relay-port")}`;
  const ownUrl = `ws://${new URL(url).host}/listeners`;
  return testsOf("workerd", [(harness) => cloudflareSuite(harness, { relayUrl, ownUrl })]);
}

const nameOf = ({ url }: Request): string => decodeURIComponent(new URL(url).pathname.slice(1));

/** One object answers all its requests, so that both ends of a WebSocket can be in it. */
export class WorkerTests {
  async fetch(request: Request): Promise<Response> {
    if (request.headers.has("upgrade")) return answerUpgrade(request);
    return Response.json(await runPortable(workerTests(request), nameOf(request), LIMIT_MS));
  }
}

/** Of the binding of a Durable Object's class, what is used here. */
interface Environment {
  readonly OBJECTS: {
    idFromName(name: string): unknown;
    get(id: unknown): { fetch(request: Request): Promise<Response> };
  };
}

export default {
  async fetch(request: Request, { OBJECTS }: Environment): Promise<Response> {
    const name = nameOf(request);
    if (name === "") return Response.json([...tests.keys(), ...workerTests(request).keys()]);
    if (tests.has(name)) return Response.json(await runPortable(tests, name, LIMIT_MS));
    return OBJECTS.get(OBJECTS.idFromName("tests")).fetch(request);
  },
};
