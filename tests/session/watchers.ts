import { assert } from "chai";
import { Watchers } from "../../lib/session/watchers.ts";
import { parseAddress, parsePattern } from "../../lib/tensor/address.ts";
import type { StoreChange } from "../../lib/tensor/source.ts";
import type { Suite } from "../harness.ts";

const changed = (address: string): StoreChange => ({
  kind: "changed",
  address: parseAddress(address),
});

export const watchersSuite: Suite = ({ test }) => {
  test("watchers: each is told of what its pattern names, in order, until it ends", () => {
    const watchers = new Watchers();
    const told: string[] = [];
    const note = (name: string) => (change: StoreChange) =>
      void told.push(`${name} ${change.kind} ${change.address.tensor}`);
    const endAll = watchers.add(parsePattern(""), note("all"));
    watchers.add(parsePattern("m/default/w*"), note("w"));
    watchers.tell(changed("m/w1"));
    watchers.tell(changed("m/v1"));
    endAll();
    endAll();
    watchers.tell({ ...changed("m/w2"), kind: "gone" });
    assert.deepEqual(told, ["all changed w1", "w changed w1", "all changed v1", "w gone w2"]);
  });

  test("watchers: one that throws hinders no other, one that was ended meanwhile is not told", () => {
    const errors: unknown[] = [];
    const watchers = new Watchers((error) => errors.push(error));
    const failure = new Error("mine");
    let told = 0;
    watchers.add(parsePattern(""), () => {
      end();
      throw failure;
    });
    const end = watchers.add(parsePattern(""), () => assert.fail("it was ended"));
    watchers.add(parsePattern(""), () => void told++);
    watchers.tell(changed("m/w"));
    assert.deepEqual(errors, [failure]);
    assert.equal(told, 1);
  });
};
