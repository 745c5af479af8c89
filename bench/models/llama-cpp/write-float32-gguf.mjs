// Writes a GGUF file again with every tensor as float32: the same metadata, the same order of tensors and rows.
import { closeSync, openSync, writeSync } from "node:fs";
import { readGgufHeader, readTensor, withSourceFile } from "@afterstate/learner";

const ALIGNMENT = 32;
const FLOAT32 = 0;

const aligned = (bytes) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** A text with its length before it, as GGUF keeps texts. */
function text(value) {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([length, bytes]);
}

/** The description of a tensor whose data begin at `offset`. */
function description({ name, shape }, offset) {
  const numbers = Buffer.alloc(4 + 8 * shape.length + 4 + 8);
  let at = numbers.writeUInt32LE(shape.length);
  for (const size of [...shape].reverse()) at = numbers.writeBigUInt64LE(BigInt(size), at);
  at = numbers.writeUInt32LE(FLOAT32, at);
  numbers.writeBigUInt64LE(BigInt(offset), at);
  return Buffer.concat([text(name), numbers]);
}

/** @param source a GGUF file of the types that are read, with the default alignment. */
export function writeFloat32Gguf(source, target) {
  withSourceFile(source, (file) => {
    const tensors = [...readGgufHeader(file).tensors.values()];
    const start = Buffer.from(file.read(0, tensors[0].offset));
    // The metadata end where the first tensor's description begins.
    const metadata = start.subarray(0, start.indexOf(text(tensors[0].name)));
    let offset = 0;
    const descriptions = tensors.map((tensor) => {
      const described = description(tensor, offset);
      offset += aligned(4 * tensor.shape.reduce((product, size) => product * size, 1));
      return described;
    });
    const header = Buffer.concat([metadata, ...descriptions]);
    const output = openSync(target, "w");
    const write = (bytes) =>
      writeSync(output, Buffer.concat([bytes, Buffer.alloc(aligned(bytes.length) - bytes.length)]));
    write(header);
    for (const tensor of tensors) {
      const { data } = readTensor(file, tensor);
      write(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    }
    closeSync(output);
  });
}
