// A Cloudflare worker that serves the safetensors files of an R2 bucket: to peers by WebSocket, and
// to browsers, curl and caches by plain HTTP. WEIGHTS is the bucket's binding; HOSTS has the names
// under which the worker is reached, ORIGINS those whose pages may read it, with commas between.
import { PeerHost } from "headrace";
import { upgradeWebSocket } from "headrace/cloudflare";
import { createHandler } from "headrace/http";
import { type R2BucketLike, R2Store } from "headrace/r2";

interface Environment {
  readonly WEIGHTS: R2BucketLike;
  readonly HOSTS?: string;
  readonly ORIGINS?: string;
}

const listOf = (text = ""): string[] => text.split(",").filter((one) => one !== "");

export default {
  async fetch(request: Request, { WEIGHTS, HOSTS, ORIGINS }: Environment): Promise<Response> {
    const store = new R2Store(WEIGHTS);
    const rules = { hosts: listOf(HOSTS), origins: listOf(ORIGINS) };
    if (!request.headers.has("upgrade")) return createHandler({ store, ...rules })(request);
    const { response, connection } = await upgradeWebSocket(request, rules);
    if (connection) {
      const connections = ReadableStream.from([connection]);
      new PeerHost(connections, { peer: () => ({ store }) });
    }
    return response;
  },
};
