import { assert } from "chai";
import { TensorFlow } from "../../lib/compat/tensor_flow.ts";
import { TransportError } from "../../lib/errors.ts";
import type { Transfer } from "../../lib/session/transfer.ts";
import type { Suite } from "../harness.ts";
import { assertRejects } from "../rejects.ts";
import { LEAF, storeOf, TestSource, WEIGHTS } from "../session/support/tensors.ts";
import { peerPair } from "../session/transfers.ts";
import { patterned, sameBytes } from "../streams/support.ts";

const CHUNK = 64 * 1024;

/** A transfer that counts how often somebody looks at its end. */
function counted(transfer: Transfer) {
  const seen = { looks: 0 };
  const get = (target: Transfer, key: string | symbol) => {
    if (key === "done") seen.looks++;
    return Reflect.get(target, key, target);
  };
  return { seen, transfer: new Proxy(transfer, { get }) };
}

export const tensorFlowSuite: Suite = ({ test }) => {
  test("tensor flow: chunks are tied to nothing that lives as long as the transfer", async () => {
    const bytes = patterned(8 * LEAF);
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, new TestSource(bytes)]) });
    let looks = () => 0;
    const flow = new TensorFlow(WEIGHTS, CHUNK, (into) => {
      const options = {
        into: ({ descriptor }: { descriptor: TestSource["descriptor"] }) => into(descriptor),
      };
      const { seen, transfer } = counted(client.requestTensor(WEIGHTS, options));
      looks = () => seen.looks;
      return transfer;
    });
    assert.isTrue(sameBytes(await flow.collect(), bytes));
    assert.isAtMost(looks(), 3, `for ${bytes.byteLength / CHUNK} chunks`);
    await client.close();
    await server.close();
  });

  test("tensor flow: what was here before a failure is given before it", async () => {
    const source = new TestSource(patterned(2 * LEAF));
    source.onRead = (byteOffset) => (byteOffset < LEAF ? undefined : new Promise(() => {}));
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]), chunkBytes: LEAF });
    const flow = new TensorFlow(WEIGHTS, CHUNK, (into) =>
      client.requestTensor(WEIGHTS, { into: ({ descriptor }) => into(descriptor) }),
    );
    await flow.next();
    client.destroy(new TransportError("cut"));
    await assertRejects(() => flow.transfer.done, TransportError, /cut/);
    for (let chunk = 1; chunk < LEAF / CHUNK; chunk++) {
      assert.equal((await flow.next())?.byteOffset, chunk * CHUNK);
    }
    await assertRejects(() => flow.next(), TransportError, /cut/);
    await server.close();
  });

  test("tensor flow: whoever waits for a chunk hears of a failure, and of one that was before", async () => {
    const source = new TestSource(patterned(2 * LEAF));
    source.onRead = () => new Promise(() => {});
    const [client, server] = peerPair({ store: storeOf([WEIGHTS, source]) });
    const flow = new TensorFlow(WEIGHTS, CHUNK, (into) =>
      client.requestTensor(WEIGHTS, { into: ({ descriptor }) => into(descriptor) }),
    );
    const waiting = flow.next();
    client.destroy(new TransportError("cut"));
    await assertRejects(() => waiting, TransportError, /cut/);
    await assertRejects(() => flow.next(), TransportError, /cut/);
    await server.close();
  });
};
