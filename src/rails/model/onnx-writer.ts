/**
 * Parts of an ONNX file, field by field after onnx.proto (protocol buffers, wire format of proto2). A file has few kinds of fields, so that writing them takes
 * less than a library would.
 */
export const FLOAT = 1;
export const INT64 = 7;
export const DOUBLE = 11;

export type Bytes = Uint8Array;

/** Fields of a message, one after the other. */
export function message(...fields: readonly Bytes[]): Bytes {
  const whole = new Uint8Array(fields.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const each of fields) {
    whole.set(each, at);
    at += each.length;
  }
  return whole;
}

/** A whole number from 0 as a varint; a text or a message with its length before it. */
export function field(number: number, value: number | string | Bytes): Bytes {
  if (typeof value === 'number') return message(varint(number * 8), varint(value));
  const bytes = typeof value === 'string' ? new TextEncoder().encode(value) : value;
  return message(varint(number * 8 + 2), varint(bytes.length), bytes);
}

function varint(value: number): Bytes {
  const bytes: number[] = [];
  let left = value;
  do {
    bytes.push((left % 128) + (left >= 128 ? 128 : 0));
    left = Math.floor(left / 128);
  } while (left > 0);
  return Uint8Array.from(bytes);
}

/** A tensor of double precision numbers, little endian on every machine. */
export function doubles(name: string, dims: readonly number[], values: ArrayLike<number>): Bytes {
  const raw = new DataView(new ArrayBuffer(8 * values.length));
  for (let at = 0; at < values.length; at += 1) raw.setFloat64(8 * at, values[at] ?? 0, true);
  return message(
    ...dims.map((dim) => field(1, dim)),
    field(2, DOUBLE),
    field(8, name),
    field(9, new Uint8Array(raw.buffer)),
  );
}

/** An input or output of a graph: any number of rows of so many numbers. */
export function rowsOfNumbers(name: string, type: number, columns: number): Bytes {
  const shape = message(field(1, message(field(2, 'rows'))), field(1, message(field(1, columns))));
  return message(field(1, name), field(2, message(field(1, message(field(1, type), field(2, shape))))));
}

/** Attributes of a node, by their name. */
export const attribute = {
  int: (name: string, value: number): Bytes => message(field(1, name), field(3, value), field(20, 2)),
  text: (name: string, value: string): Bytes => message(field(1, name), field(4, value), field(20, 3)),
  tensor: (name: string, value: Bytes): Bytes => message(field(1, name), field(5, value), field(20, 4)),
  ints: (name: string, values: readonly number[]): Bytes =>
    message(field(1, name), ...values.map((value) => field(8, value)), field(20, 7)),
  texts: (name: string, values: readonly string[]): Bytes =>
    message(field(1, name), ...values.map((value) => field(9, value)), field(20, 8)),
};

export interface NodeParts {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes?: readonly Bytes[];
  /** Whose operator it is; that of ONNX itself where it is not said. */
  readonly domain?: string;
}

export function node({ operator, inputs, output, attributes = [], domain = '' }: NodeParts): Bytes {
  return message(
    ...inputs.map((input) => field(1, input)),
    field(2, output),
    field(4, operator),
    ...attributes.map((each) => field(5, each)),
    ...(domain === '' ? [] : [field(7, domain)]),
  );
}
