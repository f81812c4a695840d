import { assert } from "chai";
import { ProtocolError } from "../../lib/errors.ts";
import {
  MOST_RECORD_BYTES,
  RECORD,
  RecordParser,
  recordHead,
} from "../../lib/transports/webtransport_records.ts";
import type { Suite } from "../harness.ts";

export const webTransportRecordsSuite: Suite = ({ test }) => {
  test("webtransport records: whatever the slicing, the same bytes and words come", () => {
    const wire = joined([
      recordHead(RECORD.open),
      recordHead(3),
      Uint8Array.of(1, 2, 3),
      recordHead(1),
      Uint8Array.of(4),
      recordHead(RECORD.end),
      recordHead(RECORD.gone),
    ]);
    for (let sliceBytes = 1; sliceBytes <= wire.byteLength; sliceBytes++) {
      assert.deepEqual(parse(wire, sliceBytes), [1, 2, 3, 4, "end", "gone"], `${sliceBytes}`);
    }
  });

  test("webtransport records: what cannot be is told at once", () => {
    const cases: (readonly [string, readonly Uint8Array[]])[] = [
      ["bytes after the end", [recordHead(RECORD.end), recordHead(1)]],
      ["an end after the end", [recordHead(RECORD.end), recordHead(RECORD.end)]],
      ["bytes after it is gone", [recordHead(RECORD.gone), recordHead(1)]],
      ["a record that is too long", [recordHead(MOST_RECORD_BYTES + 1)]],
      ["an open stream opened", [recordHead(1), Uint8Array.of(7), recordHead(RECORD.open)]],
    ];
    for (const [what, parts] of cases) {
      assert.throws(() => parse(joined(parts), 3), ProtocolError, /./, what);
    }
  });
};

function parse(wire: Uint8Array, sliceBytes: number): (number | string)[] {
  const found: (number | string)[] = [];
  const parser = new RecordParser({
    bytes: (view) => found.push(...view),
    end: () => found.push("end"),
    gone: () => found.push("gone"),
  });
  for (let at = 0; at < wire.byteLength; at += sliceBytes) {
    let rest = wire.subarray(at, at + sliceBytes);
    while (rest.byteLength > 0) rest = rest.subarray(parser.take(rest));
  }
  return found;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
