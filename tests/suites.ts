// Every suite that runs in every runtime, in the order of lib/'s rooms.
import type { Suite } from "./harness.ts";
import { descriptorSuite } from "./tensor/descriptor.ts";

/** Runs unchanged wherever a file in runtimes/ hands it a harness. */
export const portableSuites: readonly Suite[] = [descriptorSuite];

/** Needs sockets and files, which Node, Deno and Bun have. */
export const ioSuites: readonly Suite[] = [];
