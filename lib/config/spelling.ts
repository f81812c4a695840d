// This module runs in every runtime.

/** How many letters have to be put in, taken out or changed to make one text of the other (Levenshtein). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(changed, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

/** Far longer than any key; comparing takes the product of both lengths. */
const MAX_COMPARED = 64;

const plain = (key: string) => key.toLowerCase().replace(/[^a-z0-9]/g, "");

/**
 * What was probably meant by a key: at most one slip in `lettersASlip` letters of a known spelling,
 * whatever the case and however the words are joined (`chunkSize`, `chunk-size`).
 *
 * @param spellings What each known spelling stands for.
 */
export function findMeant<Meaning>(
  written: string,
  spellings: Iterable<readonly [spelling: string, meaning: Meaning]>,
  lettersASlip: number,
): Meaning | undefined {
  if (written.length > MAX_COMPARED) return undefined;
  let meant: Meaning | undefined;
  let fewest = Number.POSITIVE_INFINITY;
  for (const [spelling, meaning] of spellings) {
    const slips = editDistance(plain(written), plain(spelling));
    if (slips < fewest && slips <= Math.floor(plain(spelling).length / lettersASlip)) {
      meant = meaning;
      fewest = slips;
    }
  }
  return meant;
}
