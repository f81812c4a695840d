/** What a measured ratio has to reach. */
export interface Bar {
  readonly says: string;
  /** Exactly one of them. */
  readonly atMost?: number;
  readonly atLeast?: number;
}

/** An interval that straddles the bar neither meets nor misses it. */
export type Verdict = "met" | "missed" | "not told apart" | "too few rounds to tell";

/** With fewer rounds even all of them agreeing is no 95 %. */
const FEWEST_ROUNDS = 6;

/** Holds the 95 % interval of so many rounds' median against a bar. */
export function judge(
  interval: readonly [low: number, high: number],
  rounds: number,
  bar: Bar,
): Verdict {
  if (rounds < FEWEST_ROUNDS) return "too few rounds to tell";
  const { atMost = Number.POSITIVE_INFINITY, atLeast = Number.NEGATIVE_INFINITY } = bar;
  const [low, high] = interval;
  if (low >= atLeast && high <= atMost) return "met";
  return high < atLeast || low > atMost ? "missed" : "not told apart";
}
