// This module runs in every runtime.
import type { Clock } from "../clock.ts";
import type { Connection, Duplex } from "../connection.ts";
import { ProtocolError } from "../errors.ts";
import type { Limits } from "../limits.ts";
import { equalBytes } from "../tensor/bytes.ts";
import { decodeMessage, encodeMessage } from "../wire/control.ts";
import { FRAME, type FrameHeader } from "../wire/frame_header.ts";
import { laneShape } from "../wire/link_shapes.ts";
import type { Hello } from "../wire/messages.ts";
import { encodePreamble } from "../wire/preamble.ts";
import { FrameLane } from "./frame_lane.ts";

/** Takes the first frame of a lane that is not known yet, and says which it is. */
export type BeginLane = (header: FrameHeader, payload: Uint8Array) => FrameLane;

/** What {@linkcode LinkLanes} needs of their link. */
export interface LinkLanesOptions {
  readonly connection: Connection;
  /** Whether the other end dialled: it is then the one that opens further lanes. */
  readonly accepted: boolean;
  readonly limits: Limits;
  readonly clock: Clock;
  /** Reads a lane to its end; `begin` is given for one that is not known yet. */
  readonly read: (duplex: Duplex, lane: FrameLane | undefined, begin?: BeginLane) => void;
  /** Told of each further lane that may be written to. */
  readonly onLane: (lane: FrameLane) => void;
  readonly onFault: (error: unknown) => void;
}

/** The lanes of a link: the first, which it always has, and others where the connection has such. */
export class LinkLanes {
  /** The lane that everything may travel on. */
  readonly first: FrameLane;
  readonly #options: LinkLanesOptions;
  /** By their numbers; they may begin in any order. */
  readonly #all: Map<number, FrameLane>;
  /** Whoever opens a further lane shows by this that it belongs to the connection. */
  readonly #key: Uint8Array = crypto.getRandomValues(new Uint8Array(16));

  constructor(options: LinkLanesOptions) {
    this.#options = options;
    this.first = new FrameLane(0, options.connection, options.clock);
    this.#all = new Map([[0, this.first]]);
    this.first.closed.catch(options.onFault);
  }

  /** Bytes written so far, all lanes together. */
  get sentBytes(): number {
    let bytes = 0;
    for (const lane of this.#all.values()) bytes += lane.sentBytes;
    return bytes;
  }

  /** What HELLO says of further lanes, where they can be taken here. */
  get taken(): Pick<Hello, "laneKey" | "maxLanes"> {
    const { accepted, connection, limits } = this.#options;
    return accepted && connection.lanes ? { laneKey: this.#key, maxLanes: limits.maxLanes } : {};
  }

  /** How long the longest question has waited for its answer. */
  unansweredMs(nowMs: number): number {
    const lanes = [...this.#all.values()];
    return Math.max(...lanes.map(({ flight }) => flight.unansweredMs(nowMs)));
  }

  /** Wakes all who wait for room. */
  wake(): void {
    for (const lane of this.#all.values()) lane.room.tell();
  }

  /** Opens further lanes, or takes those that the other end opens, once the ends have greeted. */
  async keep({ laneKey, maxLanes = 1 }: Hello): Promise<void> {
    const { accepted, connection, limits, clock, read, onFault } = this.#options;
    const { lanes } = connection;
    if (!lanes) return;
    try {
      if (accepted) {
        const onLane = (duplex: Duplex) => this.#take(duplex);
        await lanes.incoming.pipeTo(new WritableStream({ write: onLane }));
        return;
      }
      for (let index = 1; laneKey && index < Math.min(maxLanes, limits.maxLanes); index++) {
        const duplex = await lanes.open();
        const lane = new FrameLane(index, duplex, clock);
        await lane.write(encodePreamble(), encodeMessage("lane", 0, { lane: index, key: laneKey }));
        read(duplex, lane);
        this.#add(lane);
      }
    } catch (error) {
      onFault(error);
    }
  }

  #take(duplex: Duplex): void {
    const { clock, limits, read } = this.#options;
    read(duplex, undefined, (header, payload) => {
      if (header.type !== FRAME.lane) throw new ProtocolError("A lane begins with LANE");
      const { lane: index, key } = decodeMessage(laneShape, header, payload);
      const isFree = index > 0 && index < limits.maxLanes && !this.#all.has(index);
      if (!isFree || !equalBytes(key, this.#key)) {
        throw new ProtocolError(`Lane ${index} is not one of this connection`);
      }
      const lane = new FrameLane(index, duplex, clock);
      lane.write(encodePreamble()).catch(() => {});
      this.#add(lane);
      return lane;
    });
  }

  #add(lane: FrameLane): void {
    this.#all.set(lane.index, lane);
    lane.closed.catch(this.#options.onFault);
    this.#options.onLane(lane);
  }
}
