/** What a link is like, the same both ways. */
export interface Shape {
  readonly bitsPerSecond: number;
  readonly roundTripMs: number;
  /** What may wait for the link at its narrowest; more is dropped. */
  readonly queueBytes: number;
  /** What a socket may hold at either end; the system's own bounds where left out. */
  readonly socketBytes?: number;
}

/** What is under way on a full link. */
export function bandwidthDelayBytes({
  bitsPerSecond,
  roundTripMs,
}: Pick<Shape, "bitsPerSecond" | "roundTripMs">): number {
  return Math.round((bitsPerSecond / 8) * (roundTripMs / 1000));
}

/** A link whose queue holds what is under way on it and a little more, as a good router's does. */
export function shapeOf(megabitsPerSecond: number, roundTripMs: number): Shape {
  const link = { bitsPerSecond: megabitsPerSecond * 1e6, roundTripMs };
  return { ...link, queueBytes: bandwidthDelayBytes(link) + 32 * 1024 };
}
