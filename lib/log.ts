// This module runs in every runtime.
import type { getLogger, Logger } from "@logtape/logtape";
import { HeadraceError } from "./errors.ts";

/** What a line of the log says beside what happened. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where LogTape keeps its loggers, for all of its copies: there once a program has loaded one. */
const LOGTAPE_ROOT = Symbol.for("logtape.rootLogger");
const MOST_HELD = 100;

let loaded: typeof getLogger | undefined;
/** Events that wait until LogTape is loaded; undefined where nothing loads it. */
let held: (() => void)[] | undefined;

/** A program that does not use LogTape never loads it: it is a tenth of what a peer takes. */
async function load(): Promise<void> {
  held = [];
  // What cannot be loaded now may be at the next event.
  loaded = (await import("./logtape.ts").catch(() => undefined))?.getLogger;
  const waiting = held;
  held = undefined;
  if (loaded) for (const say of waiting) say();
}

/**
 * What a room of the library logs: one line an event, at the level `debug`, under the category
 * `headrace` and the room's name. Nothing is said, and nothing made, until a program configures
 * LogTape. No line has a secret, or what a tensor holds.
 */
export class EventLog {
  readonly #room: string;
  /** Made at the first event, so that loading this changes nothing. */
  #logger: Logger | undefined;

  constructor(room: string) {
    this.#room = room;
  }

  /** Whether somebody listens, or may. */
  get isOn(): boolean {
    if (!loaded && !(LOGTAPE_ROOT in globalThis)) return false;
    if (!loaded && !held) void load();
    this.#logger ??= loaded?.(["headrace", this.#room]);
    return this.#logger?.isEnabledFor("debug") ?? true;
  }

  /** @param fields Called only where somebody listens, or may. */
  event(what: string, fields: () => LogFields): void {
    if (!this.isOn) return;
    const said = Object.entries(fields()).filter(([, value]) => value !== undefined);
    const message = [what, ...said.map(([name]) => `${name}={${name}}`)].join(" ");
    const say = () => {
      if (this.isOn) this.#logger?.debug(message, { event: what, ...Object.fromEntries(said) });
    };
    if (loaded) say();
    else if (held && held.length < MOST_HELD) held.push(say);
  }
}

/** What a line says of an error; nothing of none. */
export function errorFields(error: unknown): LogFields {
  if (error === undefined) return {};
  const code = error instanceof HeadraceError ? error.code : undefined;
  return { code, error: error instanceof Error ? error.message : String(error) };
}
