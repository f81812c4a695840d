/**
 * headrace moves tensors between peers over any byte stream.
 *
 * @module
 */
export { type Clock, sleep, systemClock } from "./lib/clock.ts";
export * from "./lib/errors.ts";
