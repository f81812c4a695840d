import { LEAF_BYTES } from "../../../lib/tensor/leaf.ts";
import { SeededRandom } from "../../../lib/testing/seeded_random.ts";
import type { TransferPlan } from "./plan.ts";
import { World } from "./world.ts";

/** How a walk goes. */
export interface WalkPlan {
  readonly seed: number;
  /** How many transfers begin and end, and how many there are at once. */
  readonly transfers: number;
  readonly atOnce: number;
  readonly lanes: number;
}

/** What a walk has seen. */
export interface Walked {
  readonly steps: number;
  readonly rests: number;
  readonly completed: number;
}

const PLENTY = 1_000_000;
const SINKS = ["memory", "disk", "reader", "reader", "store"] as const;

/**
 * Transfers of all kinds begin, come damaged, are paused, stopped, cancelled and ended, in an order
 * that chance makes, until all are over.
 *
 * @throws {Error} when a state is wrong, when everything is at rest but somebody waits, or when
 *   anything is left at the end.
 */
export async function walk(plan: WalkPlan): Promise<Walked> {
  const random = new SeededRandom(plan.seed);
  const pick = <T>(choices: readonly T[]): T => random.pick(choices);
  const world = new World({
    transfers: [],
    connectionLeaves: 16,
    transferLeaves: 6,
    lanes: plan.lanes,
    rttMs: 1000,
    damages: PLENTY,
    cancels: PLENTY,
    pauses: PLENTY,
  });
  const transfer = (): TransferPlan => ({
    from: pick([0, 1]),
    leaves: pick([1, 2, 3, 5, 9]),
    chunkLeaves: pick([0.5, 1, 1, 2, 4]),
    priority: pick([0, 50, 50, 200]),
    sink: pick(SINKS),
    isReading: pick([true, false]),
  });
  let begun = 0;
  let steps = 0;
  let rests = 0;
  const completed = new Set<number>();
  const trace: string[] = [];
  try {
    while (begun < plan.transfers || world.transfers.size > 0 || !world.isAtRest) {
      if (begun < plan.transfers && world.transfers.size < plan.atOnce && random.chance(0.3)) {
        world.add(transfer());
        begun++;
      }
      await world.settle();
      const actions = world.actions();
      const due = actions.filter(({ isDue }) => isDue);
      if (due.length === 0) {
        rests++;
        const stuck = world.stuck();
        if (stuck.length > 0) throw new Error(`Nothing comes for ${stuck}: ${world.key}`);
      }
      const mischief = actions.filter(({ uses }) => uses !== undefined);
      const others = actions.filter(({ isDue, uses }) => !isDue && uses === undefined);
      const chance = random.unit();
      const choices = chance < 0.02 ? mischief : chance < 0.25 ? others : due;
      const possible = [choices, others, actions].find(({ length }) => length > 0);
      if (!possible) continue;
      const action = pick(possible);
      trace.push(action.name);
      if (trace.length > 60) trace.shift();
      action.run();
      await world.settle();
      world.check();
      steps++;
      for (const n of world.sweep()) completed.add(n);
    }
    for (const { credit, incoming, readAhead } of world.ends) {
      const { heldBytes, windowBytes } = incoming;
      if (heldBytes !== 0) throw new Error(`${heldBytes} bytes are held of nothing`);
      if (credit.leftBytes <= (7 / 8) * windowBytes) throw new Error("Credit was lost");
      for (const claim of [{ priority: 255 }, { priority: 255 }]) {
        let isPlaced = false;
        readAhead.take(claim, LEAF_BYTES, LEAF_BYTES).then(() => {
          isPlaced = true;
        });
        await undefined;
        if (!isPlaced) throw new Error("A place was not given back");
      }
    }
  } catch (error) {
    const what = error instanceof Error ? error.message : `${error}`;
    throw new Error(`Seed ${plan.seed}: ${what}\n  ${trace.join("\n  ")}`, { cause: error });
  }
  return { steps, rests, completed: completed.size };
}
