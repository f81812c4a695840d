import { createHash } from "node:crypto";
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { type Part, say } from "../two_processes.ts";
import { indexOf, itemsOf, nameOf } from "./items.ts";
import type { SmallWay } from "./way.ts";

const SERVICE = "/headrace.Bench";
/** Fewer are slower, and more are not faster. */
const AT_ONCE = 128;

const asItIs = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function unary(name: string) {
  return {
    path: `${SERVICE}/${name}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: asItIs,
    requestDeserialize: asItIs,
    responseSerialize: asItIs,
    responseDeserialize: asItIs,
  } as const;
}

/** A unary call of gRPC for each item. */
export const grpcWay: SmallWay = {
  canRepeat: true,
  serve,
  async join({ host, port }) {
    const client = new Client(`${host}:${port}`, credentials.createInsecure());
    const call = (method: string, name: string) =>
      new Promise<Uint8Array>((resolve, reject) => {
        client.makeUnaryRequest<Uint8Array, Uint8Array>(
          `${SERVICE}/${method}`,
          asItIs,
          asItIs,
          Buffer.from(name),
          (error, bytes) => (bytes === undefined ? reject(error) : resolve(bytes)),
        );
      });
    return {
      async getAll(count, take) {
        let next = 0;
        const askOn = async () => {
          while (next < count) {
            const index = next++;
            const bytes = await call("Get", nameOf(index));
            createHash("sha256").update(bytes).digest();
            take(index, bytes);
          }
        };
        await Promise.all(Array.from({ length: AT_ONCE }, askOn));
      },
      async leave() {
        await call("Leave", "");
        client.close();
      },
    };
  },
};

async function serve(part: Part, count: number): Promise<void> {
  const itemAt = itemsOf(count);
  const decoder = new TextDecoder();
  const server = new Server();
  const left = new Promise<void>((leave) => {
    server.addService(
      { get: unary("Get"), leave: unary("Leave") },
      {
        get(call: ServerUnaryCall<Uint8Array, Uint8Array>, reply: sendUnaryData<Uint8Array>) {
          reply(null, itemAt(indexOf(decoder.decode(call.request))));
        },
        leave(_call: ServerUnaryCall<Uint8Array, Uint8Array>, reply: sendUnaryData<Uint8Array>) {
          reply(null, new Uint8Array());
          leave();
        },
      },
    );
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`${part.host}:0`, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  say(String(port));
  await left;
  await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
}
