// This module runs in every runtime.
import { getLogger, type Logger } from "@logtape/logtape";
import { HeadraceError } from "./errors.ts";

/** What a line of the log says beside what happened. */
export type LogFields = Readonly<Record<string, unknown>>;

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

  /** Whether somebody listens. */
  get isOn(): boolean {
    this.#logger ??= getLogger(["headrace", this.#room]);
    return this.#logger.isEnabledFor("debug");
  }

  /** @param fields Called only where somebody listens. */
  event(what: string, fields: () => LogFields): void {
    if (!this.isOn) return;
    const said = Object.entries(fields()).filter(([, value]) => value !== undefined);
    const message = [what, ...said.map(([name]) => `${name}={${name}}`)].join(" ");
    this.#logger?.debug(message, { event: what, ...Object.fromEntries(said) });
  }
}

/** What a line says of an error; nothing of none. */
export function errorFields(error: unknown): LogFields {
  if (error === undefined) return {};
  const code = error instanceof HeadraceError ? error.code : undefined;
  return { code, error: error instanceof Error ? error.message : String(error) };
}
