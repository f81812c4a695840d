// What the status of a node answers, and whom.
import { assert } from "chai";
import type { TransferSnapshot } from "../../lib/session/transfer_snapshot.ts";
import type { Suite } from "../harness.ts";
import { turn } from "../transports/conformance.ts";
import { change, ShownNode, TOKEN } from "./support.ts";

export const statusHandlerSuite: Suite = ({ test }) => {
  test("status: says who is connected, and how far each transfer is", async () => {
    const node = new ShownNode(2);
    const transfers = await node.ask();
    const status = await node.json("/api/status");
    assert.equal(status.node, "gpu-1");
    assert.equal(status.role, "mixed");
    assert.match(status.version, /^\d+\.\d+\.\d+/);
    assert.isTrue(status.isSteerable);
    const [connection] = status.connections;
    assert.equal(connection?.node, "laptop");
    assert.equal(connection?.role, "worker");
    assert.equal(connection?.transport, "memory");
    assert.sameMembers(
      status.transfers.map(({ id }) => id),
      transfers.map(({ id }) => id),
    );
    const [shown] = status.transfers;
    assert.equal(shown?.address, "m/default/w.0");
    assert.equal(shown?.direction, "out");
    assert.equal(shown?.remote, "laptop");
    assert.equal(shown?.dtype, "U8");
    assert.deepEqual(shown?.shape, [200_000]);
    assert.equal(shown?.status, "in_progress");
    assert.equal(shown?.priority, 50);
    assert.equal(shown?.bytes, 0);
    node.letGo();
    await Promise.all(transfers.map(({ done }) => done));
    while (node.registry.transfers.length > 0) await turn();
    const id = transfers[0]?.id;
    const one = await node.json<TransferSnapshot>(`/api/transfers/${id}`);
    assert.equal(one.status, "complete");
    assert.equal(one.bytes, one.totalBytes);
    assert.equal(one.id, id);
    assert.equal((await node.fetch("/api/transfers/ff")).status, 404);
    await node.close();
  });

  test("status: with the token a running transfer is given another priority, and cancelled, at both ends", async () => {
    const node = new ShownNode(2);
    const [first, second] = await node.ask();
    const path = `/api/transfers/${first?.id}`;
    const changed = await node.json<TransferSnapshot>(
      `${path}/priority`,
      change({ priority: 200 }),
    );
    assert.equal(changed.priority, 200);
    while (first?.priority !== 200) await turn();
    const cancelled = await node.json<TransferSnapshot>(`${path}/cancel`, change());
    assert.equal(cancelled.status, "cancelled");
    await first.done.catch(() => {});
    assert.equal(first.status, "cancelled");
    assert.equal((await node.fetch(`${path}/cancel`, change())).status, 404, "it is over");
    node.letGo();
    await second?.done;
    await node.close();
  });

  test("status: what is no priority is refused, and so is what is too long", async () => {
    const node = new ShownNode(1);
    const [transfer] = await node.ask();
    const path = `/api/transfers/${transfer?.id}/priority`;
    const bad = [undefined, "", "{", "null", "[]", { priority: 256 }, { priority: -1 }];
    for (const body of [...bad, { priority: 1.5 }, { priority: "9" }, {}]) {
      const { status } = await node.fetch(path, change(body));
      assert.equal(status, 400, JSON.stringify(body));
    }
    const long = { priority: 1, more: "x".repeat(2000) };
    assert.equal((await node.fetch(path, change(long))).status, 413);
    assert.equal(node.registry.transfers[0]?.priority, 50);
    await node.close();
  });

  test("status: without the token nothing is changed, and no answer tells what there is", async () => {
    const wanted = { priority: 200 };
    for (const authorise of [(token?: string) => token === TOKEN, undefined]) {
      const node = new ShownNode(1, { authorise } as object);
      const [transfer] = await node.ask();
      const answers = new Set<string>();
      for (const token of ["wrong", "", `${TOKEN}!`]) {
        for (const id of [transfer?.id, "0".repeat(32), "..%2f", "x/y/z"]) {
          for (const action of ["cancel", "priority", "else"]) {
            const path = `/api/transfers/${id}/${action}`;
            const response = await node.fetch(path, change(wanted, token));
            const headers = JSON.stringify([...response.headers]);
            answers.add(`${response.status} ${headers} ${await response.text()}`);
          }
        }
      }
      const kinds = [...answers].map((answer) => answer.slice(0, 3));
      if (authorise) assert.deepEqual([...new Set(kinds)], ["401"]);
      else assert.deepEqual(kinds, ["403"]);
      // A token that is not the right one, and one that is no token.
      assert.isAtMost(answers.size, 2);
      assert.equal(transfer?.isOver, false);
      assert.equal(node.registry.transfers[0]?.priority, 50);
      assert.equal((await node.json("/api/status")).isSteerable, authorise !== undefined);
      await node.close();
    }
  });

  test("status: where reads are protected, only the health and the empty page are for everybody", async () => {
    const node = new ShownNode(1, { protectReads: true });
    await node.ask();
    const { registry } = node;
    const id = registry.transfers[0]?.id;
    const paths = ["/api/status", "/api/events", "/metrics", `/api/transfers/${id}`, "/nothing"];
    for (const path of paths) assert.equal((await node.fetch(path)).status, 401, path);
    const headers = { authorization: `Bearer ${TOKEN}` };
    assert.equal((await node.fetch("/api/status", { headers })).status, 200);
    assert.equal(await (await node.fetch("/healthz")).text(), "ok\n");
    await node.close();
  });

  test("status: pages of other origins, and those who ask for another host, get nothing", async () => {
    const node = new ShownNode(1, { origins: ["https://ops.example"] });
    const [transfer] = await node.ask();
    const cancel = `/api/transfers/${transfer?.id}/cancel`;
    const evil = { origin: "https://evil.example", authorization: `Bearer ${TOKEN}` };
    for (const [path, method] of [
      ["/api/status", "GET"],
      ["/metrics", "GET"],
      ["/api/events", "GET"],
      [cancel, "POST"],
      [cancel, "OPTIONS"],
    ] as const) {
      assert.equal((await node.fetch(path, { method, headers: evil })).status, 403, path);
      const rebound = new Request(`http://evil.example${path}`, { method });
      assert.equal((await node.handler(rebound)).status, 403, path);
    }
    const headers = { origin: "https://ops.example" };
    const page = await node.fetch("/api/status", { headers });
    assert.equal(page.headers.get("access-control-allow-origin"), headers.origin);
    const preflight = await node.fetch(cancel, { method: "OPTIONS", headers });
    assert.equal(preflight.status, 204);
    assert.include(preflight.headers.get("access-control-allow-headers") ?? "", "Authorization");
    assert.include(preflight.headers.get("access-control-allow-methods") ?? "", "POST");
    assert.equal(transfer?.isOver, false);
    await node.close();
  });

  test("status: what is not there, or not known, is told in JSON; HEAD has no body", async () => {
    const node = new ShownNode(0);
    for (const [path, method, status] of [
      ["/api/nothing", "GET", 404],
      ["/api/events?intervalMs=1", "GET", 400],
      ["/api/status", "PUT", 405],
    ] as const) {
      const response = await node.fetch(path, { method });
      assert.equal(response.status, status);
      assert.isString((await response.json()).message);
    }
    for (const path of ["/api/status", "/api/events", "/metrics", "/healthz"]) {
      const response = await node.fetch(path, { method: "HEAD" });
      assert.equal(response.status, 200);
      assert.equal(await response.text(), "");
    }
    await node.close();
  });
};
