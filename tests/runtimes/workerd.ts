// What workerd runs: GET / names the tests, GET /NAME runs one; scripts/run_portable.ts asks.
import {
  answerUpgrade,
  cloudflareTcpSuite,
  cloudflareWebSocketSuite,
  type WorkerSite,
} from "../transports/cloudflare.ts";
import { type PortableTests, portableTests, runPortable, testsOf } from "./portable.ts";

const LIMIT_MS = 60_000;
const portable = portableTests("workerd");

/** Where this worker and the relay are; the relay's port is a header of each request. */
function siteOf({ url, headers }: Request): WorkerSite {
  const relayUrl = `tcp://127.0.0.1:${headers.get("relay-port")}`;
  return { relayUrl, ownUrl: `ws://${new URL(url).host}/listeners` };
}

function testsInRequest(request: Request): PortableTests {
  return testsOf("workerd", [(harness) => cloudflareTcpSuite(harness, siteOf(request))]);
}

function testsInObject(request: Request): PortableTests {
  return testsOf("workerd", [(harness) => cloudflareWebSocketSuite(harness, siteOf(request))]);
}

const nameOf = ({ url }: Request): string => decodeURIComponent(new URL(url).pathname.slice(1));

/** One object answers all its requests, so that both ends of a WebSocket can be in it. */
export class WorkerTests {
  async fetch(request: Request): Promise<Response> {
    if (request.headers.has("upgrade")) return answerUpgrade(request);
    return Response.json(await runPortable(testsInObject(request), nameOf(request), LIMIT_MS));
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
    const here: PortableTests = new Map([...portable, ...testsInRequest(request)]);
    if (name === "") return Response.json([...here.keys(), ...testsInObject(request).keys()]);
    if (here.has(name)) return Response.json(await runPortable(here, name, LIMIT_MS));
    return OBJECTS.get(OBJECTS.idFromName("tests")).fetch(request);
  },
};
