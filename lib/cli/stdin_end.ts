/**
 * Fulfils when standard input is closed or at its end. Whoever started this process with a pipe
 * there closes it by ending, whatever way that happens.
 *
 * @param signal Stops waiting; the promise then stays open.
 */
export function stdinEnd(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    process.stdin.once("end", resolve).once("close", resolve).once("error", resolve).resume();
    const stop = () => {
      // In Deno a read that is under way outlives destroy() and keeps the process; pause() ends it.
      process.stdin.pause();
      process.stdin.destroy();
    };
    signal.addEventListener("abort", stop, { once: true });
  });
}
