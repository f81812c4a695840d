// The rooms of lib/ and which may import which, as pure functions; check_imports.ts applies them.
import { posix } from "node:path";
import { importsOf, lineAt, only } from "./source_text.ts";

/** The rooms from the bottom up; `lib` is the files of lib/ itself (errors, limits, clock, ...). A room may import itself and the rooms of the rows above it. */
const FLOORS: readonly (readonly string[])[] = [
  ["lib", "platform"],
  ["tensor"],
  ["wire", "codec"],
  ["streams"],
  ["session"],
  ["transports", "formats", "checkpoint", "config", "status", "compat", "testing"],
  ["http"],
  ["cli"],
];
const GROUND = 0;
/** mod.ts re-exports the portable rooms only: the session is the highest of them. */
const PORTABLE_TOP: number = floorOf("session");

/** Files that must run everywhere, beside mod.ts: those of these rooms and of lib/ itself. */
export const PORTABLE_ROOMS: readonly string[] = [
  "tensor",
  "wire",
  "codec",
  "streams",
  "session",
  "config",
  "compat",
  "status",
  "testing",
  "http",
];

function floorOf(room: string): number {
  return FLOORS.findIndex((rooms) => rooms.includes(room));
}

/** The room of a file of lib/: its folder, or `lib` for a file of lib/ itself. */
export function roomOf(path: string): string | undefined {
  const [top, room, rest] = path.split("/");
  if (top !== "lib" || room === undefined) return undefined;
  return rest === undefined ? "lib" : room;
}

function mayImport(from: string, to: string): boolean {
  if (from === to) return true;
  const [fromFloor, toFloor] = [floorOf(from), floorOf(to)];
  return toFloor < fromFloor || (fromFloor === GROUND && toFloor === GROUND);
}

/** What is wrong with the imports and re-exports of one source file; `path` is relative to the root. */
export function importProblems(path: string, source: string): string[] {
  const problems: string[] = [];
  const room = path === "mod.ts" ? "mod" : roomOf(path);
  if (room === undefined) return problems;
  if (room !== "mod" && floorOf(room) < 0) {
    return [`${path}: lib/${room} is not a room; scripts/import_rules.ts lists the rooms`];
  }
  for (const { specifier, line } of importsOf(source)) {
    if (!specifier.startsWith(".")) continue;
    const target = posix.join(posix.dirname(path), specifier);
    const targetRoom = roomOf(target);
    const at = `${path}:${line}`;
    if (targetRoom === undefined) {
      problems.push(`${at}: lib/ imports nothing outside itself, but this imports ${target}`);
    } else if (floorOf(targetRoom) < 0) {
      problems.push(`${at}: ${target} is in no room`);
    } else if (room === "mod" && floorOf(targetRoom) > PORTABLE_TOP) {
      problems.push(`${at}: mod.ts re-exports portable rooms only, not ${targetRoom}`);
    } else if (room !== "mod" && !mayImport(room, targetRoom)) {
      problems.push(`${at}: ${room} may not import ${targetRoom} (${target})`);
    }
  }
  const code = only(source, "code");
  for (const match of code.matchAll(/\bexport\s*\*/g)) {
    problems.push(`${path}:${lineAt(code, match.index)}: re-export by name, not \`export *\``);
  }
  return problems;
}
