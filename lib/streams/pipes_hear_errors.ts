// This module runs in every runtime.

/**
 * Whether a pipe rejects when its destination errors between two writes. Some runtimes' pipes take
 * that for an orderly end, and would say of half a tensor that it was sent.
 */
export async function pipesHearErrors(): Promise<boolean> {
  let fail = (_error: Error): void => {};
  const destination = new WritableStream({
    start: (controller) => {
      fail = (error) => controller.error(error);
    },
  });
  const piped = new ReadableStream().pipeTo(destination);
  fail(new Error("A pipe that is tried out"));
  return piped.then(
    () => false,
    () => true,
  );
}
