import { assert } from "chai";
import { originOf, whyRefused } from "../lib/origin_rules.ts";
import type { Suite } from "./harness.ts";

export const originRulesSuite: Suite = ({ test }) => {
  test("origin rules: a name is the same however it is written, with a port or without", () => {
    const cases: [string, string][] = [
      ["Weights.Example", "weights.example:8443"],
      ["weights.example:8443", "weights.example"],
      ["bücher.example", "xn--bcher-kva.example"],
    ];
    for (const [named, host] of cases) {
      assert.isUndefined(whyRefused({ host, origin: null }, { hosts: [named] }), named);
    }
    const other = whyRefused(
      { host: "other.example", origin: null },
      { hosts: ["weights.example"] },
    );
    assert.equal(other, "this server is not called other.example");
    assert.match(whyRefused({ host: null, origin: null }, {}) ?? "", /whom it asks for/);
  });

  test("origin rules: an origin is the same however it is written", () => {
    const host = "127.0.0.1:1";
    const origin = "https://app.example";
    for (const named of [origin, `${origin}/`, "https://App.Example", `${origin}:443`, "*"]) {
      assert.isUndefined(whyRefused({ host, origin }, { origins: [named] }), named);
    }
    for (const named of [
      "app.example",
      "http://app.example",
      `${origin}:8443`,
      "https://a.example",
    ]) {
      assert.match(whyRefused({ host, origin }, { origins: [named] }) ?? "", /not let in/, named);
    }
    assert.isUndefined(whyRefused({ host, origin: `http://${host}` }, {}));
  });

  test("origin rules: only a scheme, a host and a port name an origin", () => {
    assert.equal(originOf("https://App.example:443/"), "https://app.example");
    for (const none of [
      "app.example",
      "https://app.example/path",
      "https://a.example?x",
      "ftp://a",
      "https://u@a",
      "",
    ]) {
      assert.isUndefined(originOf(none), none);
    }
  });
};
