import { assert } from "chai";
import { IntegrityError } from "../../../lib/errors.ts";
import { encodeHeader } from "../../../lib/formats/safetensors/encode_header.ts";
import { parseHeader } from "../../../lib/formats/safetensors/header.ts";
import { writeSafetensors } from "../../../lib/formats/safetensors/writer.ts";
import { createDescriptor, type TensorDescriptor } from "../../../lib/tensor/descriptor.ts";
import type { TensorSource } from "../../../lib/tensor/source.ts";
import type { Suite } from "../../harness.ts";
import { assertRejects } from "../../rejects.ts";
import { collect as items } from "../../streams/support.ts";

/** A tensor in memory that counts what is asked of it. */
class CountedSource implements TensorSource {
  readonly descriptor: TensorDescriptor;
  readonly bytes: Uint8Array;
  reads = 0;
  closed = 0;
  generation = 0;

  constructor(descriptor: TensorDescriptor, bytes: Uint8Array) {
    this.descriptor = descriptor;
    this.bytes = bytes;
  }
  async version() {
    return Uint8Array.of(this.generation);
  }
  async read(byteOffset: number, into: Uint8Array) {
    this.reads++;
    into.set(this.bytes.subarray(byteOffset, byteOffset + into.length));
  }
  async close() {
    this.closed++;
  }
}

const pattern = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, index) => (index * 31 + seed * 17) & 0xff);

/** Not by a Response, of which browsers tell only that it failed. */
const collect = async (stream: ReadableStream<Uint8Array>) =>
  new Uint8Array(await new Blob((await items(stream)) as Uint8Array<ArrayBuffer>[]).arrayBuffer());

function fixture() {
  const sources = new Map(
    [5000, 0, 2048, 7].map((length, index) => {
      const descriptor = createDescriptor("U8", [length]);
      return [`t${index}`, new CountedSource(descriptor, pattern(length, index))];
    }),
  );
  const named = [...sources].map(([name, { descriptor }]) => ({ name, descriptor }));
  const open = (name: string) => sources.get(name) as CountedSource;
  return { sources, named, open };
}

export const safetensorsWriterSuite: Suite = ({ test }) => {
  test("safetensors writer: writes a file that reads back, tensor by tensor", async () => {
    const { sources, named, open } = fixture();
    const header = encodeHeader(named, [["format", "pt"]]);
    const file = await collect(writeSafetensors(header, open, { chunkBytes: 1024 }));
    assert.equal(file.byteLength, header.fileBytes);
    for (const { name, descriptor, fileOffset } of parseHeader(file, file.byteLength).tensors) {
      const found = file.subarray(fileOffset, fileOffset + descriptor.byteLength);
      assert.deepEqual(found, sources.get(name)?.bytes);
      assert.equal(sources.get(name)?.closed, 1);
    }
  });

  test("safetensors writer: reproduces a foreign header byte for byte", async () => {
    const json = `{ "b":{"shape":[2],"data_offsets":[3,5],"dtype":"U8"},\n "\\u0061" : {"data_offsets":[0,3],"dtype":"I8","shape":[3]}}     `;
    const file = new Uint8Array(8 + json.length + 5);
    file[0] = json.length;
    new TextEncoder().encodeInto(json, file.subarray(8));
    file.set([1, 2, 3, 4, 5], 8 + json.length);
    const header = parseHeader(file, file.byteLength);
    const open = (name: string) => {
      const tensor = header.tensors.find((tensor) => tensor.name === name);
      const at = tensor?.fileOffset as number;
      const descriptor = tensor?.descriptor as TensorDescriptor;
      return new CountedSource(descriptor, file.slice(at, at + descriptor.byteLength));
    };
    assert.deepEqual(await collect(writeSafetensors(header, open)), file);
  });

  test("safetensors writer: reads a piece only when somebody asks for it", async () => {
    const { sources, named, open } = fixture();
    const header = encodeHeader(named);
    const reader = writeSafetensors(header, open, { chunkBytes: 1024 }).getReader();
    await reader.read();
    assert.equal(sources.get("t0")?.reads, 0);
    await reader.read();
    await reader.read();
    assert.equal(sources.get("t0")?.reads, 2);
    await reader.cancel();
    assert.equal(sources.get("t0")?.reads, 2);
    assert.equal(sources.get("t0")?.closed, 1);
    assert.equal(sources.get("t2")?.reads, 0);
  });

  test("safetensors writer: a source that changes or differs ends the stream with an error", async () => {
    const { sources, named, open } = fixture();
    const header = encodeHeader(named);
    const first = sources.get("t0") as CountedSource;
    const reader = writeSafetensors(header, open, { chunkBytes: 4096 }).getReader();
    await reader.read();
    await reader.read();
    first.generation = 1;
    await reader.read();
    const error = await assertRejects(() => reader.read(), IntegrityError, /"t0" changed/);
    assert.equal(error.where, "source");
    assert.equal(first.closed, 1);

    const other = new CountedSource(createDescriptor("I8", [5000]), pattern(5000, 0));
    await assertRejects(
      () => collect(writeSafetensors(header, () => other)),
      TypeError,
      /"t0": the header says U8 \[5000\], the source I8/,
    );
  });
};
