/**
 * The smallest ONNX file that scores: probability = sigmoid(x · weights + bias), for one row or many. Written field by field after onnx.proto, so that
 * the tests need no toolchain of another language to have a model of others' making.
 */
export function onnxLogistic(weights: readonly number[], bias: number): Buffer {
  const inputs = weights.length;
  const graph = message(
    field(1, message(field(1, 'x'), field(1, 'w'), field(1, 'b'), field(2, 'log_odds'), field(4, 'Gemm'))),
    field(1, message(field(1, 'log_odds'), field(2, 'probability'), field(4, 'Sigmoid'))),
    field(2, 'logistic'),
    field(5, floats('w', [inputs, 1], weights)),
    field(5, floats('b', [1], [bias])),
    field(11, tensorInfo('x', inputs)),
    field(12, tensorInfo('probability', 1)),
  );
  const operators = message(field(1, ''), field(2, 13));
  return message(field(1, 8), field(2, 'probity tests'), field(7, graph), field(8, operators));
}

const FLOAT = 1;

function floats(name: string, dims: readonly number[], values: readonly number[]): Buffer {
  const raw = Buffer.from(Float32Array.from(values).buffer);
  return message(...dims.map((dim) => field(1, dim)), field(2, FLOAT), field(8, name), field(9, raw));
}

/** Any number of rows of so many numbers. */
function tensorInfo(name: string, columns: number): Buffer {
  const shape = message(field(1, message(field(2, 'rows'))), field(1, message(field(1, columns))));
  const tensor = message(field(1, FLOAT), field(2, shape));
  return message(field(1, name), field(2, message(field(1, tensor))));
}

function message(...fields: readonly Buffer[]): Buffer {
  return Buffer.concat(fields);
}

/** A whole number as a varint; a text or bytes with their length before them. */
function field(number: number, value: number | string | Buffer): Buffer {
  if (typeof value === 'number') return Buffer.concat([varint(number << 3), varint(value)]);
  const bytes = Buffer.from(value as string);
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  do {
    bytes.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
    left = Math.floor(left / 128);
  } while (left > 0);
  return Buffer.from(bytes);
}
