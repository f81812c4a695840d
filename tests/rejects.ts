import { assert } from "chai";

/** Fails unless the work fails with this kind of error and this message; returns the error. */
export async function assertRejects<E extends Error>(
  work: () => unknown,
  kind: abstract new (...args: never[]) => E,
  message: RegExp,
): Promise<E> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof kind)) throw error;
    assert.match(error.message, message);
    return error;
  }
  assert.fail(`expected ${kind.name} ${message}, but nothing failed`);
}
