// This module runs in every runtime.
import { systemClock } from "../clock.ts";
import type { Connection, Duplex } from "../connection.ts";
import { TransportError } from "../errors.ts";
import { LinkConnection } from "./link_connection.ts";
import type { WebTransportLike, WebTransportStreamLike } from "./webtransport_like.ts";
import { WebTransportStreamLink } from "./webtransport_stream_link.ts";

/** How long the other end may take to say that it has everything, before the session is closed. */
const LINGER_MS = 2_000;
/** The same, where what is under way may be lost. */
const RESET_LINGER_MS = 200;
/** Further streams that nobody has taken. */
const MOST_WAITING_STREAMS = 16;
const RESET_CODE = 1;
/** Before all priorities: control frames travel there. */
const FIRST_LANE_ORDER = 256;

/**
 * The connection that a WebTransport session carries: its first stream is the connection itself,
 * each further one a lane.
 *
 * @param first The stream that the dialler opened first.
 * @param isDialler Whether that was this end.
 */
export function connectionOf(
  session: WebTransportLike,
  first: WebTransportStreamLike,
  remote: string,
  isDialler: boolean,
): Connection {
  const lanes = new Set<LinkConnection>();
  let released: { readonly reset: boolean } | undefined;
  const closeSession = () => {
    cancelLinger?.();
    try {
      session.close({ closeCode: released?.reset === false ? 0 : RESET_CODE });
    } catch {
      // Closed already.
    }
  };
  let cancelLinger: (() => void) | undefined;
  const link = new WebTransportStreamLink(first, {
    remote,
    isOpener: isDialler,
    onGone: closeSession,
    onRelease: (reset) => {
      released = { reset };
      for (const lane of lanes) lane.close();
      cancelLinger = systemClock.after(reset ? RESET_LINGER_MS : LINGER_MS, closeSession);
    },
  });
  const connection = new LinkConnection(link);
  setSendOrder(first, FIRST_LANE_ORDER);
  const over = (error: unknown) => {
    cancelLinger?.();
    link.lost(error);
  };
  session.closed.then(() => over("the session was closed"), over);
  const laneOf = (stream: WebTransportStreamLike, isOpener: boolean): Duplex => {
    const lane = new LinkConnection(new WebTransportStreamLink(stream, { remote, isOpener }));
    lanes.add(lane);
    const over = () => lanes.delete(lane);
    lane.closed.then(over, over);
    if (released) lane.close();
    const { readable, writable, slack } = lane;
    return {
      readable,
      writable,
      receive: lane.receive.bind(lane),
      prioritise: (order) => setSendOrder(stream, order),
      ...(slack && { slack }),
    };
  };
  const open = async (): Promise<Duplex> => {
    try {
      return laneOf(await session.createBidirectionalStream(), true);
    } catch (error) {
      throw new TransportError(`No further stream to ${remote} can be opened`, { cause: error });
    }
  };
  const incoming = session.incomingBidirectionalStreams.pipeThrough(
    new TransformStream<WebTransportStreamLike, Duplex>(
      { transform: (stream, controller) => controller.enqueue(laneOf(stream, false)) },
      { highWaterMark: 1 },
      { highWaterMark: MOST_WAITING_STREAMS },
    ),
  );
  return Object.assign(connection, { lanes: { open, incoming } });
}

/** Where the runtime has it; elsewhere what each lane has under way is bounded all the same. */
function setSendOrder({ writable }: WebTransportStreamLike, order: number): void {
  const stream = writable as { sendOrder?: number };
  if ("sendOrder" in stream) stream.sendOrder = order;
}
