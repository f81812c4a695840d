// This module runs in every runtime.
import { FormatError } from "../errors.ts";
import { createDescriptor, type TensorDescriptor } from "../tensor/descriptor.ts";
import type { DType } from "../tensor/dtype.ts";

/** A constant of an ONNX model: its weights, mostly. */
export interface OnnxTensor {
  readonly name: string;
  readonly descriptor: TensorDescriptor;
  /** A view of the model's bytes. */
  readonly bytes: Uint8Array;
}

/** The elements of ONNX's `TensorProto.DataType` that weights use. */
const DTYPE_BY_DATA_TYPE: Readonly<Record<number, DType>> = {
  1: "F32",
  2: "U8",
  3: "I8",
  6: "I32",
  7: "I64",
  10: "F16",
  11: "F64",
  16: "BF16",
};

type Field = { readonly number: number; readonly value: number | Uint8Array };

/** The fields of one protobuf message, in order; a value is a varint or a view. */
function* fieldsOf(message: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++];
      if (byte === undefined || scale > 2 ** 63) throw new FormatError("ONNX: a number is cut");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  const view = (length: number): Uint8Array => {
    if (length > message.byteLength - at) {
      throw new FormatError(`ONNX: wanted ${length} bytes, found ${message.byteLength - at}`);
    }
    at += length;
    return message.subarray(at - length, at);
  };
  while (at < message.byteLength) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    const wireType = tag % 8;
    if (wireType === 0) yield { number, value: varint() };
    else if (wireType === 1) yield { number, value: view(8) };
    else if (wireType === 2) yield { number, value: view(varint()) };
    else if (wireType === 5) yield { number, value: view(4) };
    else throw new FormatError(`ONNX: unknown wire type ${wireType}`);
  }
}

/** The submessages under one field number. */
function* messagesOf(message: Uint8Array, number: number): Generator<Uint8Array> {
  for (const { number: found, value } of fieldsOf(message)) {
    if (found === number && typeof value !== "number") yield value;
  }
}

const textOf = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

function readTensor(message: Uint8Array, givenName?: string): OnnxTensor | undefined {
  const dims: number[] = [];
  let dtype: DType | undefined;
  let name = givenName;
  let bytes = new Uint8Array();
  for (const { number, value } of fieldsOf(message)) {
    if (number === 1 && typeof value === "number") dims.push(value);
    else if (number === 2 && typeof value === "number") dtype = DTYPE_BY_DATA_TYPE[value];
    else if (number === 8 && typeof value !== "number") name ??= textOf(value);
    else if (number === 9 && typeof value !== "number") bytes = value as typeof bytes;
  }
  if (dtype === undefined || bytes.byteLength === 0 || !name) return undefined;
  try {
    return { name, descriptor: createDescriptor(dtype, dims, bytes.byteLength), bytes };
  } catch (cause) {
    throw new FormatError(`ONNX: ${name}: ${(cause as Error).message}`, { cause });
  }
}

/**
 * The tensors that an ONNX model holds as raw bytes: its initialisers and the values of its
 * `Constant` nodes, in order. Everything else is passed over.
 *
 * Source of the field numbers: `onnx.proto` (ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto).
 *
 * @throws {FormatError} for bytes that are no such model.
 */
export function readOnnxTensors(model: Uint8Array): OnnxTensor[] {
  const tensors: OnnxTensor[] = [];
  const add = (tensor: OnnxTensor | undefined) => {
    if (tensor) tensors.push(tensor);
  };
  for (const graph of messagesOf(model, 7)) {
    for (const { number, value } of fieldsOf(graph)) {
      if (typeof value === "number") continue;
      if (number === 5) add(readTensor(value));
      if (number !== 1) continue;
      const [opType] = messagesOf(value, 4);
      if (textOf(opType) !== "Constant") continue;
      const [output] = messagesOf(value, 2);
      for (const attribute of messagesOf(value, 5)) {
        for (const tensor of messagesOf(attribute, 5)) add(readTensor(tensor, textOf(output)));
      }
    }
  }
  return tensors;
}
