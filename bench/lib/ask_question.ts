// Compares the ways of one question, each run in two processes; the first way is the floor.
import { compare, flag } from "./compare.ts";
import { listenerOf, type Way } from "./transfer.ts";
import { runTwo } from "./two_processes.ts";

const MiB = 1024 * 1024;

/** What is asked. */
export interface Question {
  /** Of the results' file. */
  readonly name: string;
  /** What each part's variant begins with. */
  readonly question: string;
  readonly ways: Readonly<Record<string, Way>>;
  readonly bytes: number;
  readonly about: string;
}

/** @param file The bench's own URL: it plays the parts as well. */
export async function askQuestion(
  file: string,
  { name, question, ways, bytes, about }: Question,
): Promise<void> {
  const variants = Object.entries(ways).map(([way, how]) => {
    const run = (size: number, digest: boolean) =>
      runTwo(file, { variant: `${question}/${way}`, bytes: size, digest }, listenerOf(how));
    return {
      name: way,
      run: () => run(bytes, false),
      verify: async () => (await run(16 * MiB + 12345, true)).digest ?? "",
    };
  });
  await compare({
    name,
    rounds: Number(flag("rounds", "15")),
    variants,
    floor: variants[0]?.name ?? "",
    about,
  });
}
