/**
 * Fulfils when standard input is closed or at its end. Whoever started this process with a pipe
 * there closes it by ending, whatever way that happens.
 *
 * @param signal Stops waiting; the promise then stays open.
 */
export function stdinEnd(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    process.stdin.once("end", resolve).once("close", resolve).once("error", resolve).resume();
    signal.addEventListener("abort", () => process.stdin.destroy(), { once: true });
  });
}
