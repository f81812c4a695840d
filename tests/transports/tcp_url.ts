import { assert } from "chai";
import { formatTcpUrl, parseTcpUrl } from "../../lib/transports/tcp_url.ts";
import type { Suite } from "../harness.ts";

export const tcpUrlSuite: Suite = ({ test }) => {
  test("tcp url: reads scheme, host and port, and writes them back", () => {
    const cases: [string, boolean, string, number][] = [
      ["tcp://127.0.0.1:0", false, "127.0.0.1", 0],
      ["tls://weights.example:443", true, "weights.example", 443],
      ["tcp://[::1]:9000", false, "::1", 9000],
    ];
    for (const [url, secure, host, port] of cases) {
      assert.deepEqual(parseTcpUrl(url), { secure, host, port });
      assert.deepEqual(parseTcpUrl(new URL(url)), { secure, host, port });
      assert.equal(formatTcpUrl({ secure, host, port }), url);
    }
    assert.equal(parseTcpUrl("tcp://host").port, 12094);
    assert.equal(parseTcpUrl("tls://[fe80::2]/").port, 12094);
  });

  test("tcp url: refuses anything else and shows no password", () => {
    const cases: [string, RegExp][] = [
      ["http://127.0.0.1:80", /scheme is http:/],
      ["127.0.0.1:80", /tcp:\/\/HOST:PORT/],
      ["tcp://", /names no host|is expected/],
      ["tcp://host:99999", /is expected/],
      ["tcp://host/model", /holds a path/],
      ["tcp://host?x=1", /holds a query/],
      ["tcp://host#x", /holds a query or a fragment/],
      ["tcp://user:secret@host", /holds credentials/],
    ];
    for (const [url, why] of cases) assert.throws(() => parseTcpUrl(url), TypeError, why);
    assert.throws(() => parseTcpUrl("tcp://user:secret@host"), /^(?!.*secret)/);
  });
};
