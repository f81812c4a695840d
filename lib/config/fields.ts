// This module runs in every runtime.
import * as v from "valibot";
import { DURATION, parseByteCount, parseDurationMs, SIZE } from "./quantity.ts";

/** A setting that may be left out. */
export type Field<T> = v.OptionalSchema<v.GenericSchema<unknown, T>, undefined>;

/** Longer than any pause or wait that helps anybody, shorter than what timers can hold. */
const MAX_DURATION_MS = 24 * 60 * 60 * 1000;

// Each message ends the sentence "KEY must be ...".

/** `true` or `false`. */
export function boolean(): Field<boolean> {
  return v.optional(v.boolean("true or false (in the environment also 1 or 0)"));
}

/** One of these words. */
export function word<const T extends string>(...words: readonly T[]): Field<T> {
  return v.optional(v.picklist(words, listOf(words)));
}

/** Several of these words, none of them twice. */
export function wordList(...words: readonly string[]): Field<string[]> {
  const message = `a list of one or more, each another, of: ${words.map(quote).join(", ")}`;
  const isEachAnother = (list: string[]) => new Set(list).size === list.length;
  return v.optional(
    v.pipe(
      v.array(v.picklist(words, message), message),
      v.minLength(1, message),
      v.check(isEachAnother, message),
    ),
  );
}

/** Text of at most so many bytes. */
export function text(
  mostBytes: number,
  message = `text of 1 to ${mostBytes} bytes`,
): Field<string> {
  return v.optional(v.pipe(v.string(message), v.nonEmpty(message), v.maxBytes(mostBytes, message)));
}

/** Text of a certain form. */
export function pattern(form: RegExp, message: string): Field<string> {
  return v.optional(v.pipe(v.string(message), v.regex(form, message)));
}

/** A number. */
export function factor(least: number, most: number): Field<number> {
  const message = `a number from ${least} to ${most}`;
  return v.optional(
    v.pipe(v.number(message), v.minValue(least, message), v.maxValue(most, message)),
  );
}

/** A whole number; text is none. */
export function count(least: number, most: number): Field<number> {
  const message = `a whole number from ${least} to ${most}`;
  return v.optional(whole(least, most, message));
}

/** A whole number from 0, or `"unlimited"`. */
export function countOrUnlimited(): Field<number | "unlimited"> {
  const message = 'a whole number from 0, or "unlimited"';
  const number = whole(0, Number.MAX_SAFE_INTEGER, message);
  return v.optional(v.union([v.literal("unlimited"), number], message));
}

/** Bytes, or a size such as `"4MiB"`. */
export function size(least: number, most: number, range: string): Field<number> {
  const message = `a whole number of bytes ${range}, or a size such as "64KiB" or "4MiB"`;
  return v.optional(v.union(quantity(SIZE, parseByteCount, least, most, message), message));
}

/** Milliseconds, or a duration such as `"2s"`; at most a day. */
export function duration(least: number): Field<number> {
  const message =
    `a whole number of milliseconds from ${least} to ${MAX_DURATION_MS} (a day), ` +
    'or a duration such as "500ms" or "2s"';
  const options = quantity(DURATION, parseDurationMs, least, MAX_DURATION_MS, message);
  return v.optional(v.union(options, message));
}

/** Bytes or a size, or `"unlimited"`. */
export function sizeOrUnlimited(): Field<number | "unlimited"> {
  return endless(
    SIZE,
    parseByteCount,
    'a whole number of bytes from 0, a size such as "500GiB" or "2TiB", or "unlimited"',
  );
}

/** Milliseconds or a duration of any length, or `"unlimited"`. */
export function durationOrUnlimited(): Field<number | "unlimited"> {
  return endless(
    DURATION,
    parseDurationMs,
    'a whole number of milliseconds from 0, a duration such as "12h" or "14d", or "unlimited"',
  );
}

type Parse = (text: string) => number;

function endless(form: RegExp, parse: Parse, message: string): Field<number | "unlimited"> {
  const [number, text] = quantity(form, parse, 0, Number.MAX_SAFE_INTEGER, message);
  return v.optional(v.union([v.literal("unlimited"), number, text], message));
}

function whole(least: number, most: number, message: string) {
  return v.pipe(
    v.number(message),
    v.safeInteger(message),
    v.minValue(least, message),
    v.maxValue(most, message),
  );
}

/** A whole number, and text that `parse` makes one of. */
function quantity(form: RegExp, parse: Parse, least: number, most: number, message: string) {
  const inRange = (n: number) => Number.isSafeInteger(n) && n >= least && n <= most;
  return [
    whole(least, most, message),
    v.pipe(
      v.string(message),
      v.regex(form, message),
      v.transform(parse),
      v.check(inRange, message),
    ),
  ] as const;
}

const quote = (one: string) => JSON.stringify(one);

/** `"a", "b" or "c"`. */
function listOf(words: readonly string[]): string {
  const quoted = words.map(quote);
  return `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
}
