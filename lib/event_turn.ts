// This module runs in every runtime.

/** Of the runtime, what some have. */
interface Immediate {
  readonly setImmediate?: (callback: () => void) => unknown;
}

/**
 * Resolves in the next turn of the event loop, in which the runtime does what it has put off: writes
 * to sockets among it. A timer of 0 ms takes one to two milliseconds in some runtimes.
 */
export function eventTurn(): Promise<void> {
  const { setImmediate } = globalThis as Immediate;
  return new Promise((resolve) => {
    if (setImmediate) {
      setImmediate(resolve);
      return;
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
