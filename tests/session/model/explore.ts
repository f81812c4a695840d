import type { Plan } from "./plan.ts";
import { type Action, World } from "./world.ts";

/** What an exploration has seen. */
export interface Explored {
  readonly states: number;
  /** States in which nothing more happens by itself. */
  readonly rests: number;
  readonly steps: number;
  /** Whether there were more states than it was allowed to look at. */
  readonly isCut: boolean;
}

/** Actions to be done from the beginning, and those that lead to nothing new after them. */
interface Path {
  readonly names: readonly string[];
  readonly asleep: readonly Action[];
}

/**
 * Looks at every state that a plan can lead to, whatever comes in which order. A state is reached by
 * doing once more, from the beginning, what leads to it: the parts under test cannot be copied. Of
 * two actions that have nothing to do with each other, only one order is tried.
 *
 * @throws {Error} with the actions that led there, when a state is wrong, or when everything is at
 *   rest but somebody waits.
 *
 * Source: sleep sets with a store of states (Godefroid, 1996).
 */
export async function explore(plan: Plan, mostStates: number): Promise<Explored> {
  /** States, and what was asleep whenever they were looked at. */
  const seen = new Map<string, ReadonlySet<string>>();
  const left: Path[] = [{ names: [], asleep: [] }];
  let rests = 0;
  let steps = 0;
  for (let path = left.pop(); path && seen.size < mostStates; path = left.pop()) {
    const world = new World(plan);
    await world.settle();
    const names = [...path.names];
    const run = async (action: Action) => {
      action.run();
      await world.settle();
      steps++;
    };
    try {
      for (const name of names) await run(named(world.actions(), name));
      for (let asleep = path.asleep; ; ) {
        world.check();
        const actions = world.actions();
        const { key } = world;
        const before = seen.get(key);
        const sleeping = new Set(asleep.map(({ name }) => name));
        if (!before && !actions.some(({ isDue }) => isDue)) {
          rests++;
          const stuck = world.stuck();
          if (stuck.length > 0) throw new Error(`Nothing comes for ${stuck}: ${key}`);
        }
        if (before) asleep = asleep.filter(({ name }) => before.has(name));
        seen.set(key, new Set(asleep.map(({ name }) => name)));
        const todo = actions.filter(
          ({ name }) => !sleeping.has(name) && (before?.has(name) ?? true),
        );
        const [first, ...others] = todo;
        if (!first) break;
        let done = [...asleep, first];
        const later: Path[] = [];
        for (const action of others) {
          later.push({ names: [...names, action.name], asleep: apartFrom(action, done) });
          done = [...done, action];
        }
        left.push(...later.reverse());
        asleep = apartFrom(first, asleep);
        names.push(first.name);
        await run(first);
      }
    } catch (error) {
      const what = error instanceof Error ? error.message : `${error}`;
      throw new Error(`${what}\n  ${names.join("\n  ")}`, { cause: error });
    }
  }
  return { states: seen.size, rests, steps, isCut: left.length > 0 };
}

function named(actions: readonly Action[], name: string): Action {
  const found = actions.find((action) => action.name === name);
  if (!found) throw new Error(`"${name}" cannot be done any more`);
  return found;
}

/** Those that have nothing to do with an action, so that their order does not matter. */
function apartFrom(action: Action, others: readonly Action[]): Action[] {
  return others.filter(
    ({ ends, uses }) => (ends & action.ends) === 0 && (uses === undefined || uses !== action.uses),
  );
}
