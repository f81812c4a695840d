// Two programs, one that knows only the standard methods, one that knows only the streaming ones.
import { assert } from "chai";
import type { StandardProtocol } from "../../lib/compat/standard_protocol.ts";
import type { StreamingProtocol } from "../../lib/compat/streaming_protocol.ts";
import { sameBytes } from "../streams/support.ts";

/** What each of the two has to give. */
export interface Weights {
  readonly standard: Uint8Array;
  readonly streaming: Uint8Array;
}

/** The standard program: takes a tensor, gives one when asked, sends one, asks for one. */
export async function standardProgram(protocol: StandardProtocol, weights: Weights): Promise<void> {
  const pushed = await protocol.receiveMessage();
  assert.equal(pushed.header.type, "tensor_sync");
  assert.equal(pushed.header.tensorID, "pushed by streaming");
  assert.isTrue(sameBytes(pushed.data, weights.streaming));
  const { messageID, modelID, partitionID, tensorID } = pushed.header;
  await protocol.sendAck(messageID, modelID, partitionID, tensorID);

  const asked = await protocol.receiveMessage();
  assert.deepInclude(asked.header, { type: "tensor_request", tensorID: "asked of standard" });
  assert.lengthOf(asked.data, 0);
  const { messageID: requestID } = asked.header;
  await protocol.sendTensorResponse(requestID, "m", "p", "asked of standard", weights.standard);
  const wrong = await protocol.receiveMessage();
  await protocol.sendError(wrong.header.messageID, 404, "no such tensor");

  const sentID = await protocol.sendTensorSync("m", "p", "pushed by standard", weights.standard);
  const acked = await protocol.receiveMessage();
  assert.deepInclude(acked.header, { type: "tensor_ack", messageID: sentID });

  const id = await protocol.sendTensorRequest("m", "p", "asked of streaming");
  const answer = await protocol.receiveMessage();
  assert.deepInclude(answer.header, { type: "tensor_response", messageID: id, dtype: "U8" });
  assert.equal(answer.header.bodyLength, weights.streaming.byteLength);
  assert.isTrue(sameBytes(answer.data, weights.streaming));
  const missingID = await protocol.sendTensorRequest("m", "p", "nothing");
  const missing = await protocol.receiveMessage();
  assert.deepInclude(missing.header, { type: "error", messageID: missingID });
}

/** The streaming program, whose store has `asked of streaming`: the mirror of the other. */
export async function streamingProgram(
  protocol: StreamingProtocol,
  weights: Weights,
  chunkBytes: number,
): Promise<void> {
  const sent = await protocol.streamTensor("m", "p", "pushed by streaming", weights.streaming);
  assert.include(protocol.getTransferState(sent), { direction: "out", status: "complete" });

  const asked = await protocol.requestTensor("m", "p", "asked of standard", 100);
  assert.isTrue(sameBytes(await chunks(protocol, asked, chunkBytes), weights.standard));
  const state = protocol.getTransferState(asked);
  assert.include(state, { status: "complete", priority: 100, tensorID: "asked of standard" });
  assert.equal(state.bytesTransferred, weights.standard.byteLength);
  const wrong = await protocol.requestTensor("m", "p", "never there");
  try {
    await chunks(protocol, wrong, chunkBytes);
    assert.fail("a tensor that is not there came");
  } catch (error) {
    assert.deepInclude(error as object, { remoteCode: "404" });
    assert.match((error as Error).message, /no such tensor/);
  }

  for await (const { streamID, tensorID } of protocol.receiveTensors()) {
    assert.equal(tensorID, "pushed by standard");
    assert.isTrue(sameBytes(await chunks(protocol, streamID, chunkBytes), weights.standard));
    break;
  }
}

/** The loop over incoming chunks that users of the streaming protocol write. */
async function chunks(
  protocol: StreamingProtocol,
  streamID: string,
  chunkBytes: number,
): Promise<Uint8Array> {
  const whole: number[] = [];
  let bytes: Uint8Array | undefined;
  let count = 0;
  for await (const chunk of protocol.receiveChunks(streamID)) {
    const { totalSize } = protocol.getTransferState(streamID);
    bytes ??= new Uint8Array(totalSize);
    assert.equal(chunk.chunkNumber, count++);
    assert.isAtMost(chunk.data.byteLength, chunkBytes);
    bytes.set(chunk.data, chunk.byteOffset);
    whole.push(chunk.totalChunks);
  }
  assert.deepEqual(new Set(whole), new Set([count]));
  return bytes ?? new Uint8Array();
}
