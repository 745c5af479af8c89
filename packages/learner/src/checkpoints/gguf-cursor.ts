import { CheckpointError } from "./checkpoint-error.js";
import type { SourceFile } from "./source-file.js";

const WINDOW_BYTES = 1 << 18;

/** Reads numbers and texts off a file one after the other, little endian. Nothing is allocated that the file does not hold. */
export interface Cursor {
  /** Of the next byte. */
  readonly offset: number;
  /** Bytes that are left. */
  readonly left: number;
  /** `what` names the place in errors. @throws CheckpointError `checkpoint/corrupt` when the file ends before. */
  number(kind: NumberKind, what: string): number | bigint;
  /** A count or a length. @throws CheckpointError also when it is more than can follow, at `minBytes` each. */
  count(what: string, minBytes: number): number;
  text(what: string): string;
}

/** Names and sizes of the numbers that GGUF stores. */
export const NUMBER_BYTES = { u8: 1, i8: 1, u16: 2, i16: 2, u32: 4, i32: 4, f32: 4, u64: 8, i64: 8, f64: 8 } as const;

/** One of {@link NUMBER_BYTES}. */
export type NumberKind = keyof typeof NUMBER_BYTES;

/** A cursor at the beginning of a file. */
export function openCursor(file: SourceFile): Cursor {
  let offset = 0;
  let window = new DataView(new ArrayBuffer(0));
  let windowStart = 0;

  const need = (bytes: number, what: string) => {
    if (bytes <= file.size - offset) return;
    const found = `the end of the file after ${file.size - offset}`;
    throw new CheckpointError("corrupt", { file: file.name, field: what, expected: `${bytes} bytes`, found });
  };
  /** The window and the place in it of the next bytes, of which there are at most 8. */
  const next = (bytes: number, what: string): number => {
    need(bytes, what);
    if (offset < windowStart || offset + bytes > windowStart + window.byteLength) {
      windowStart = offset;
      window = new DataView(file.read(offset, Math.min(WINDOW_BYTES, file.size - offset)).buffer);
    }
    offset += bytes;
    return offset - bytes - windowStart;
  };

  const cursor: Cursor = {
    get offset() {
      return offset;
    },
    get left() {
      return file.size - offset;
    },
    number(kind, what) {
      const at = next(NUMBER_BYTES[kind], what);
      return READ[kind](window, at);
    },
    count(what, minBytes) {
      const value = cursor.number("u64", what);
      if (value > Math.floor(cursor.left / minBytes)) {
        const expected = `at most ${Math.floor(cursor.left / minBytes)}, as ${cursor.left} bytes are left`;
        throw new CheckpointError("corrupt", { file: file.name, field: what, expected, found: `${value}` });
      }
      return Number(value);
    },
    text(what) {
      const length = cursor.count(what, 1);
      const inWindow = offset >= windowStart && offset + length <= windowStart + window.byteLength;
      const bytes = inWindow ? new Uint8Array(window.buffer, offset - windowStart, length) : file.read(offset, length);
      offset += length;
      try {
        return UTF8.decode(bytes);
      } catch {
        throw new CheckpointError("corrupt", { file: file.name, field: what, expected: "UTF-8", found: "other bytes" });
      }
    },
  };
  return cursor;
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

const small = (value: bigint): number | bigint =>
  value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;

const READ: Readonly<Record<NumberKind, (view: DataView, at: number) => number | bigint>> = {
  u8: (view, at) => view.getUint8(at),
  i8: (view, at) => view.getInt8(at),
  u16: (view, at) => view.getUint16(at, true),
  i16: (view, at) => view.getInt16(at, true),
  u32: (view, at) => view.getUint32(at, true),
  i32: (view, at) => view.getInt32(at, true),
  f32: (view, at) => view.getFloat32(at, true),
  u64: (view, at) => small(view.getBigUint64(at, true)),
  i64: (view, at) => small(view.getBigInt64(at, true)),
  f64: (view, at) => view.getFloat64(at, true),
};
