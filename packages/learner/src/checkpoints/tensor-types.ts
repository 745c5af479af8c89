import {
  dequantiseIQ4_NL,
  dequantiseQ4_0,
  dequantiseQ4_1,
  dequantiseQ5_0,
  dequantiseQ5_1,
  dequantiseQ8_0,
} from "./dequantise.js";
import { dequantiseQ2_K, dequantiseQ3_K, dequantiseQ4_K, dequantiseQ5_K, dequantiseQ6_K } from "./dequantise-k.js";
import { HALVES } from "./half.js";

/** How the numbers of a tensor are stored: in blocks of a fixed count of elements and bytes, little endian. */
export interface TensorType {
  readonly name: string;
  readonly blockElements: number;
  readonly blockBytes: number;
  /** Writes whole blocks as float32. `bytes` begins its own buffer. */
  readonly decode: (bytes: Uint8Array<ArrayBuffer>, into: Float32Array) => void;
}

const F32: TensorType = {
  name: "F32",
  blockElements: 1,
  blockBytes: 4,
  decode: (bytes, into) => into.set(new Float32Array(bytes.buffer)),
};

const F16: TensorType = {
  name: "F16",
  blockElements: 1,
  blockBytes: 2,
  decode(bytes, into) {
    const halves = new Uint16Array(bytes.buffer);
    for (let i = 0; i < halves.length; i++) into[i] = HALVES[halves[i]!]!;
  },
};

/** The upper half of a float32. */
const BF16: TensorType = {
  name: "BF16",
  blockElements: 1,
  blockBytes: 2,
  decode(bytes, into) {
    const halves = new Uint16Array(bytes.buffer);
    const bits = new Uint32Array(into.buffer, into.byteOffset, into.length);
    for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
  },
};

/** The types of a safetensors file that are read, by their name there. */
export const SAFETENSORS_TYPES: ReadonlyMap<string, TensorType> = new Map(
  [F32, F16, BF16].map((type) => [type.name, type]),
);

/** The types of a GGUF file that are read, by their number there (`ggml_type` of ggml.h). */
export const GGUF_TYPES: ReadonlyMap<number, TensorType> = new Map([
  [0, F32],
  [1, F16],
  [2, { name: "Q4_0", blockElements: 32, blockBytes: 18, decode: dequantiseQ4_0 }],
  [3, { name: "Q4_1", blockElements: 32, blockBytes: 20, decode: dequantiseQ4_1 }],
  [6, { name: "Q5_0", blockElements: 32, blockBytes: 22, decode: dequantiseQ5_0 }],
  [7, { name: "Q5_1", blockElements: 32, blockBytes: 24, decode: dequantiseQ5_1 }],
  [8, { name: "Q8_0", blockElements: 32, blockBytes: 34, decode: dequantiseQ8_0 }],
  [10, { name: "Q2_K", blockElements: 256, blockBytes: 84, decode: dequantiseQ2_K }],
  [11, { name: "Q3_K", blockElements: 256, blockBytes: 110, decode: dequantiseQ3_K }],
  [12, { name: "Q4_K", blockElements: 256, blockBytes: 144, decode: dequantiseQ4_K }],
  [13, { name: "Q5_K", blockElements: 256, blockBytes: 176, decode: dequantiseQ5_K }],
  [14, { name: "Q6_K", blockElements: 256, blockBytes: 210, decode: dequantiseQ6_K }],
  [20, { name: "IQ4_NL", blockElements: 32, blockBytes: 18, decode: dequantiseIQ4_NL }],
  [30, BF16],
]);

/** Names of the other numbers of `ggml_type`, for the error that refuses them. */
export const UNREAD_GGUF_TYPES: ReadonlyMap<number, string> = new Map([
  [9, "Q8_1"],
  [15, "Q8_K"],
  [16, "IQ2_XXS"],
  [17, "IQ2_XS"],
  [18, "IQ3_XXS"],
  [19, "IQ1_S"],
  [21, "IQ3_S"],
  [22, "IQ2_S"],
  [23, "IQ4_XS"],
  [24, "I8"],
  [25, "I16"],
  [26, "I32"],
  [27, "I64"],
  [28, "F64"],
  [29, "IQ1_M"],
  [34, "TQ1_0"],
  [35, "TQ2_0"],
  [39, "MXFP4"],
]);
