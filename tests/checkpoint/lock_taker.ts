// Started by the lock tests: takes each lock it is told of and says whether it got it.
import process from "node:process";
import { createInterface } from "node:readline";
import { OutputLock } from "../../lib/checkpoint/lock.ts";

process.stdout.write("ready\n");
for await (const path of createInterface({ input: process.stdin })) {
  try {
    OutputLock.take(path);
    process.stdout.write("taken\n");
  } catch (error) {
    process.stdout.write(`refused: ${(error as Error).message}\n`);
  }
}
