import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Line, LineSplitter } from './line-splitter.core.js';

function linesOf(pieces: readonly Buffer[]): readonly Line[] {
  const splitter = new LineSplitter(1_000);
  return [...pieces.flatMap((piece) => splitter.push(piece)), ...splitter.end()];
}

const texts = (lines: readonly Line[]) => lines.map(({ number, bytes }) => [number, bytes.toString('latin1')]);

describe('cutting bytes into lines', () => {
  it('gives the same lines wherever the pieces end, bytes that are no UTF-8 included', () => {
    const content = fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 12 });
    fc.assert(
      fc.property(content, fc.array(fc.nat(200), { maxLength: 20 }), (parts, cuts) => {
        const whole = Buffer.concat(parts.flatMap((part) => [Buffer.from(part), Buffer.from('\n')]));
        const places = [...new Set([0, ...cuts.map((cut) => Math.min(cut, whole.length)), whole.length])].sort(
          (a, b) => a - b,
        );
        const pieces = places.slice(1).map((end, index) => whole.subarray(places[index], end));
        expect(texts(linesOf(pieces))).toEqual(texts(linesOf([whole])));
      }),
    );
  });

  it('numbers lines as an editor does, empty ones counted and passed over', () => {
    const lines = linesOf([Buffer.from('{"a":1}\r\n\n  \t\n{"b":2}\n{"c":3}')]);
    expect(texts(lines)).toEqual([
      [1, '{"a":1}'],
      [4, '{"b":2}'],
      [5, '{"c":3}'],
    ]);
  });

  it('notices a line without an end before it holds all of it', () => {
    const splitter = new LineSplitter(10);
    splitter.push(Buffer.from('short\n0123456789'));
    expect(splitter.tooLong).toBeUndefined();
    splitter.push(Buffer.from('0'));
    expect(splitter.tooLong).toBe(2);
  });
});
