export { formatBytes, formatSeconds } from "../status/format.ts";

/** `1 tensor`, `2 tensors`. */
export const formatCount = (count: number, thing: string): string =>
  `${count} ${thing}${count === 1 ? "" : "s"}`;
