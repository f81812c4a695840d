// Stands between two VXLAN ends and passes each datagram on a while after it came: the length of the
// link. Its width, and what is dropped, is the kernel's affair.
//
//   node relay.ts DELAY_MS PORT OWN_ADDRESS:END_ADDRESS OWN_ADDRESS:END_ADDRESS
import { createSocket } from "node:dgram";
import process from "node:process";
import { comeFirst } from "./come_first.ts";
import { DelayLine } from "./delay_line.ts";
import { fillInnerChecksum } from "./inner_checksum.ts";

const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;

const [delayMs = "", port = "", ...sides] = process.argv.slice(2);
const [left, right] = sides.map((side) => side.split(":"));

async function relay(from = "", to = ""): Promise<void> {
  const sender = createSocket({ type: "udp4", sendBufferSize: SOCKET_BUFFER_BYTES });
  // A datagram that finds no room is lost, as on any link.
  sender.on("error", () => {});
  await new Promise<void>((resolve) => sender.connect(Number(port), to, resolve));
  const line = new DelayLine<Uint8Array>(Number(delayMs), (datagram) => {
    fillInnerChecksum(datagram);
    sender.send(datagram);
  });
  const receiver = createSocket({ type: "udp4", recvBufferSize: SOCKET_BUFFER_BYTES });
  receiver.on("message", (datagram) => line.push(datagram));
  await new Promise<void>((resolve) => receiver.bind(Number(port), from, resolve));
}

comeFirst();
await Promise.all([relay(left?.[0], right?.[1]), relay(right?.[0], left?.[1])]);
process.stdout.write("relaying\n");
// Ends with the one who started it, however that one ends.
process.stdin.resume().on("end", () => process.exit(0));
