// Carries TCP connections to a port at a rate and with a delay, for machines whose kernel cannot.
//
//   node throttling_proxy.ts '{"bitsPerSecond":1e7,"roundTripMs":20,"queueBytes":57768}' PORT
import { connect, createServer } from "node:net";
import process from "node:process";
import { comeFirst } from "./come_first.ts";
import type { Shape } from "./shape.ts";
import { ThrottledLine } from "./throttled_line.ts";

comeFirst();
const shape = JSON.parse(process.argv[2] ?? "") as Shape;
const target = { host: "127.0.0.1", port: Number(process.argv[3]) };
const there = new ThrottledLine(shape);
const back = new ThrottledLine(shape);

const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
  const far = connect({ ...target, allowHalfOpen: true, noDelay: true });
  there.join(near, far);
  back.join(far, near);
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  process.stdout.write(`${typeof address === "object" ? address?.port : address}\n`);
});
// Ends with the one who started it, however that one ends.
process.stdin.resume().on("end", () => process.exit(0));
