// This module runs in every runtime.
// What the library uses of LogTape, by itself: a bundle that loads it lazily loads no more of it.
export { getLogger } from "@logtape/logtape";
