import { assert } from "chai";
import fc from "fast-check";
import { foldFileName, safeFileName } from "../../lib/checkpoint/file_name.ts";
import { LimitError } from "../../lib/errors.ts";
import type { Suite } from "../harness.ts";

/** Names made of what is dangerous, mixed with anything. */
const names = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 20 }),
  fc.string({
    unit: fc.constantFrom(...'./\\:%*?"<>|\0\n \u0085é', "e\u0301", "CON", "nul", "2E"),
  }),
);

export const fileNameSuite: Suite = ({ test }) => {
  test("file name: ordinary names stay as they are", () => {
    for (const name of [
      "model-00001-of-00003.safetensors",
      "tokenizer.json",
      "README.md",
      "Model-Q4_K_M.gguf",
      "模型 v2 (final).safetensors",
      "console.json",
      "a..b",
    ]) {
      assert.equal(safeFileName(name), name);
    }
  });

  test("file name: what could leave the folder, or mean something there, is escaped", () => {
    assert.equal(safeFileName(""), "%");
    assert.equal(safeFileName("."), "%2E");
    assert.equal(safeFileName(".."), "%2E%2E");
    assert.equal(safeFileName(".headrace"), "%2Eheadrace");
    assert.equal(safeFileName("../../etc/passwd"), "%2E.%2F..%2Fetc%2Fpasswd");
    assert.equal(safeFileName("C:\\x"), "C%3A%5Cx");
    assert.equal(safeFileName("a\0b\n"), "a%00b%0A");
    assert.equal(safeFileName("50%"), "50%25");
    assert.equal(safeFileName("dots.."), "dots.%2E");
    assert.equal(safeFileName("space "), "space%20");
    assert.equal(safeFileName("con"), "%63on");
    assert.equal(safeFileName("NUL.safetensors"), "%4EUL.safetensors");
    assert.equal(safeFileName("aux .txt"), "%61ux .txt");
    assert.equal(safeFileName("COM\u00b9"), "%43OM\u00b9");
  });

  test("file name: every result is one plain name, and gives the name back", () => {
    fc.assert(
      fc.property(names, (name) => {
        fc.pre(name.isWellFormed() && name.length < 80);
        const safe = safeFileName(name);
        assert.notMatch(safe, /[\p{Cc}/\\:*?"<>|]|^\.|[. ]$|^$/u);
        assert.notMatch(safe, /^(con|prn|aux|nul|com\d|lpt\d) *(\.|$)/i);
        assert.equal(safe === "%" ? "" : decodeURIComponent(safe), name);
      }),
      { numRuns: 2000 },
    );
  });

  test("file name: names that differ only in their Unicode form stay apart", () => {
    const composed = safeFileName("caf\u00e9");
    const decomposed = safeFileName("cafe\u0301");
    assert.equal(composed, "caf\u00e9");
    assert.equal(decomposed, "cafe%CC%81");
    assert.notEqual(composed.normalize("NFC"), decomposed.normalize("NFC"));
    assert.equal(foldFileName("README"), foldFileName("readme"));
  });

  test("file name: too long a name is refused, not shortened, and so is half a surrogate", () => {
    assert.equal(safeFileName("x".repeat(255)).length, 255);
    assert.throws(() => safeFileName("x".repeat(256)), LimitError, /255 bytes/);
    assert.throws(() => safeFileName("/".repeat(86)), LimitError, /258/);
    assert.throws(() => safeFileName("\ud800"), TypeError, /surrogate/);
  });
};
