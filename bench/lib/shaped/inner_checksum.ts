const VXLAN_BYTES = 8;
const ETHERNET_BYTES = 14;
const IP_AT = VXLAN_BYTES + ETHERNET_BYTES;
const ETHERTYPE_AT = IP_AT - 2;
const IPV4 = 0x0800;
const TCP = 6;

/**
 * Fills in the checksum of the TCP segment in a VXLAN datagram. The kernel leaves that to the network
 * card, and there is none between the ends.
 */
export function fillInnerChecksum(datagram: Uint8Array): void {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  if (view.byteLength < IP_AT + 20 || view.getUint16(ETHERTYPE_AT) !== IPV4) return;
  if (datagram[IP_AT + 9] !== TCP) return;
  const tcpAt = IP_AT + ((datagram[IP_AT] ?? 0) & 0x0f) * 4;
  const end = IP_AT + view.getUint16(IP_AT + 2);
  const checksumAt = tcpAt + 16;
  view.setUint16(checksumAt, 0);
  // Source and destination address, the protocol and the length are summed up as well.
  let sum = TCP + (end - tcpAt);
  for (let at = IP_AT + 12; at < IP_AT + 20; at += 2) sum += view.getUint16(at);
  for (let at = tcpAt; at + 1 < end; at += 2) sum += view.getUint16(at);
  if ((end - tcpAt) % 2 === 1) sum += (datagram[end - 1] ?? 0) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(checksumAt, ~sum & 0xffff);
}
