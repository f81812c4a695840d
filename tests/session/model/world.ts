import { LEAF_BYTES } from "../../../lib/tensor/leaf.ts";
import type { ChunkHead } from "../../../lib/wire/chunk_head.ts";
import { End, type ModelFrame } from "./end.ts";
import type { Plan, TransferPlan } from "./plan.ts";
import { ModelReceiver } from "./receiver.ts";
import { type ModelChunk, ModelSender } from "./sender.ts";

/** Something that may happen next. */
export interface Action {
  readonly name: string;
  /** Whether it happens by itself sooner or later; the others may never. */
  readonly isDue: boolean;
  /** The ends that it has to do with, a bit for each. */
  readonly ends: number;
  /** What it takes one of that is counted. */
  readonly uses: "damages" | "cancels" | "pauses" | undefined;
  readonly run: () => void;
}

interface ModelTransfer {
  readonly plan: TransferPlan;
  sender: ModelSender | undefined;
  receiver: ModelReceiver | undefined;
}

/** Two ends, what is on its way between them, and their transfers: flow control without the bytes. */
export class World {
  readonly ends: readonly [End, End];
  readonly transfers: Map<number, ModelTransfer> = new Map();
  readonly #plan: Plan;
  #damages: number;
  #cancels: number;
  #pauses: number;
  #nextStream = 1;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.ends = [new End(plan), new End(plan)];
    this.#damages = plan.damages ?? 0;
    this.#cancels = plan.cancels ?? 0;
    this.#pauses = plan.pauses ?? 0;
    for (const transfer of plan.transfers) this.add(transfer);
  }

  /** One more transfer. */
  add(plan: TransferPlan): void {
    const stream = this.#nextStream++;
    const transfer: ModelTransfer = { plan, sender: undefined, receiver: undefined };
    this.transfers.set(stream, transfer);
    if (!plan.isLate) this.#begin(stream, transfer);
  }

  #begin(stream: number, transfer: ModelTransfer): void {
    const { plan } = transfer;
    transfer.sender = new ModelSender(this.ends[plan.from], stream, plan);
    transfer.receiver = new ModelReceiver(this.ends[1 - plan.from] as End, stream, plan);
  }

  /** Everything that may happen now. */
  actions(): Action[] {
    const actions: Action[] = [];
    const add = (
      name: string,
      isDue: boolean,
      ends: number,
      run: () => void,
      uses?: Action["uses"],
    ) => actions.push({ name, isDue, ends, uses, run });
    for (const [n, end] of this.ends.entries()) {
      const there = 2 - n;
      for (const lane of end.lanes) {
        const frame = lane[0];
        if (!frame) continue;
        const { key, kind } = frame;
        add(`${key} comes`, true, there, () => this.#deliver(n, lane, false));
        if (kind !== "chunk" || this.#damages === 0) continue;
        add(`${key} comes damaged`, false, there, () => this.#deliver(n, lane, true), "damages");
      }
    }
    for (const [n, transfer] of this.transfers) {
      const { plan, sender, receiver } = transfer;
      if (!sender || !receiver) {
        add(`${n} begins`, false, 3, () => this.#begin(n, transfer));
        continue;
      }
      const here = 1 + plan.from;
      const there = 2 - plan.from;
      if (sender.next) add(`${n} sends`, true, here, () => this.#send(sender));
      const [whole] = receiver.here;
      const isStored = plan.sink === "disk" || plan.sink === "store";
      if (whole !== undefined && isStored && !receiver.isOver) {
        const isDue = plan.sink === "disk";
        add(`${n} stores leaf ${whole}`, isDue, there, () => receiver.store(whole));
      }
      if (plan.sink === "reader" && receiver.mayRead) {
        add(`${n} is read`, false, there, () => receiver.read());
      }
      if (this.#cancels > 0 && !receiver.isOver) {
        const cancel = () => this.#cancelThere(receiver);
        add(`${n} is cancelled by its receiver`, false, there, cancel, "cancels");
      }
      if (this.#cancels > 0 && !sender.isOver) {
        const cancel = () => this.#cancelHere(sender);
        add(`${n} is cancelled by its sender`, false, here, cancel, "cancels");
      }
      if (sender.isPaused && !sender.isOver) {
        add(`${n} goes on`, false, here, () => sender.pause(false));
      } else if (this.#pauses > 0 && !sender.isOver) {
        add(`${n} is paused`, false, here, () => this.#pause(sender), "pauses");
      }
    }
    return actions;
  }

  #send(sender: ModelSender): void {
    const chunk = sender.sent();
    this.ends[sender.plan.from].sendChunk(sender.stream, chunk);
  }

  #cancelThere(receiver: ModelReceiver): void {
    this.#cancels--;
    receiver.end();
    (this.ends[1 - receiver.plan.from] as End).sendOver(receiver.stream);
  }

  #cancelHere(sender: ModelSender): void {
    this.#cancels--;
    sender.end();
    this.ends[sender.plan.from].sendOver(sender.stream);
  }

  #pause(sender: ModelSender): void {
    this.#pauses--;
    sender.pause(true);
  }

  /** The oldest frame of a lane comes to the other end. */
  #deliver(from: number, lane: ModelFrame[], isDamaged: boolean): void {
    const frame = lane.shift();
    const end = this.ends[1 - from];
    if (!frame || !end) throw new Error("Nothing is on its way");
    const transfer = this.transfers.get(frame.stream);
    if (frame.kind === "chunk") {
      if (isDamaged) this.#damages--;
      const isBad = isDamaged || (transfer?.plan.isDamaged === true && !frame.chunk.isAgain);
      this.#chunk(end, transfer?.receiver, frame.chunk, isBad);
    } else if (frame.kind === "over") {
      transfer?.sender?.end();
      transfer?.receiver?.end();
    } else if (frame.stream === 0) {
      if (frame.kind === "limit") end.raise(frame.limitBytes);
    } else if (!transfer?.sender?.isOver) {
      if (frame.kind === "limit") transfer?.sender?.raise(frame.limitBytes);
      else transfer?.sender?.refetch(frame.leaves);
    }
  }

  #chunk(
    end: End,
    receiver: ModelReceiver | undefined,
    { byteOffset, rawBytes, isAgain }: ModelChunk,
    isDamaged: boolean,
  ): void {
    if (!isAgain) {
      end.incoming.heard(rawBytes);
      end.heardBytes += rawBytes;
    }
    if (!receiver || receiver.isOver) {
      if (!isAgain) end.consumed(rawBytes);
      return;
    }
    const head: ChunkHead = {
      byteOffset,
      rawBytes,
      encodedBytes: rawBytes,
      fragmentOffset: 0,
      checksum: 0,
      codec: 0,
    };
    const wanted = receiver.begin(head, isAgain);
    receiver.chunk(head, wanted, isAgain, isDamaged);
  }

  /** Forgets transfers that are over at both ends, and gives those that are complete. */
  sweep(): readonly number[] {
    const complete: number[] = [];
    for (const [n, { sender, receiver }] of this.transfers) {
      if (!sender?.isOver || !receiver?.isOver) continue;
      this.transfers.delete(n);
      if (receiver.isComplete) complete.push(n);
    }
    return complete;
  }

  /** Lets what an action set going come to rest. */
  async settle(): Promise<void> {
    let moves = -1;
    while (moves !== this.ends[0].moves + this.ends[1].moves) {
      moves = this.ends[0].moves + this.ends[1].moves;
      // A place is handed over in two microtasks.
      await undefined;
      await undefined;
    }
  }

  /** @throws {Error} when credit is lost, or made from nothing, or a window is not kept. */
  check(): void {
    for (const [n, end] of this.ends.entries()) {
      const other = this.ends[1 - n] as End;
      const { heldBytes, windowBytes } = end.incoming;
      let heldThere = 0;
      let takenBytes = 0;
      for (const { plan, sender, receiver } of this.transfers.values()) {
        if (plan.from === n) takenBytes += sender?.takenBytes ?? 0;
        else heldThere += receiver?.heldBytes ?? 0;
        if (plan.from === n || !receiver || receiver.isOver) continue;
        const { limit, consumedBytes } = receiver.ledger;
        const mostLeaves = Math.max(this.#plan.transferLeaves, 2 * Math.max(plan.chunkLeaves, 1));
        expect(limit - consumedBytes <= mostLeaves * LEAF_BYTES, "a transfer's window is not kept");
      }
      expect(
        heldBytes === heldThere,
        `${heldBytes} bytes are held, the transfers say ${heldThere}`,
      );
      expect(heldBytes <= windowBytes, `${heldBytes} bytes are held, more than the window`);
      for (const frame of end.lanes.flat()) {
        if (frame.kind === "chunk" && !frame.chunk.isAgain) takenBytes += frame.chunk.rawBytes;
      }
      const { leftBytes } = end.credit;
      expect(leftBytes >= 0, "more credit is used than there was");
      const usedBytes = other.heardBytes + takenBytes;
      const wantedBytes = end.raisedBytes - usedBytes;
      expect(leftBytes === wantedBytes, `credit of ${leftBytes} is left, not of ${wantedBytes}`);
    }
  }

  /** Whether everything that happens by itself has happened. */
  get isAtRest(): boolean {
    return !this.actions().some(({ isDue }) => isDue);
  }

  /** Transfers that somebody waits for and that stand still although they need not. */
  stuck(): readonly number[] {
    const stuck: number[] = [];
    for (const [n, transfer] of this.transfers) {
      const { sender, receiver } = transfer;
      if (!sender || !receiver?.isWilling || sender.isPaused) continue;
      if (receiver.takesAtOnce || this.#stoppedLeaves(transfer) <= this.#helpLeaves(transfer)) {
        stuck.push(n);
      }
    }
    return stuck;
  }

  /** What readers and stores that have stopped may hold so that this one gets on all the same. */
  #helpLeaves({ plan }: ModelTransfer): number {
    const end = this.ends[1 - plan.from] as End;
    const windowLeaves = end.incoming.windowBytes / LEAF_BYTES;
    return (5 / 8) * windowLeaves - Math.max(plan.chunkLeaves, 1);
  }

  #stoppedLeaves(but: ModelTransfer): number {
    let leaves = 0;
    for (const transfer of this.transfers.values()) {
      const { plan, sender, receiver } = transfer;
      if (transfer === but || plan.from !== but.plan.from || !receiver) continue;
      if (receiver.isOver || receiver.isPrompt || (receiver.isWilling && !sender?.isPaused))
        continue;
      leaves += (receiver.ledger.limit - receiver.ledger.consumedBytes) / LEAF_BYTES;
    }
    return leaves;
  }

  /** Everything that tells this state from another. */
  get key(): string {
    let key = `${this.#damages}${this.#cancels}${this.#pauses}`;
    for (const end of this.ends) {
      const { credit, incoming, lanes } = end;
      key += `|${credit.leftBytes / LEAF_BYTES} ${incoming.heldBytes / LEAF_BYTES}`;
      for (const lane of lanes) key += `/${lane.map((frame) => frame.key)}`;
    }
    for (const { sender, receiver } of this.transfers.values()) {
      key += `|${sender?.key} ${receiver?.key}`;
    }
    return key;
  }
}

function expect(isSo: boolean, otherwise: string): void {
  if (!isSo) throw new Error(otherwise);
}
