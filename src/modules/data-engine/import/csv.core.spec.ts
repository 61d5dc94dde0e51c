import { describe, expect, it } from '@jest/globals';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { type CsvForm, CsvReader, type CsvRecord, RECORD_CHARACTERS_MAX } from './csv.core.js';

const COMMA: CsvForm = { delimiter: ',', quote: '"' };

/** Reads the text in pieces that end after the given lengths. */
function read(text: string, cuts: readonly number[] = [], form: CsvForm = COMMA): CsvRecord[] {
  const reader = new CsvReader(form);
  const records: CsvRecord[] = [];
  let at = 0;
  for (const cut of cuts) {
    reader.read(text.slice(at, at + cut), false, (record) => records.push(record));
    at += cut;
  }
  reader.read(text.slice(at), true, (record) => records.push(record));
  return records;
}

describe('the reading of csv', () => {
  const cell = fc.array(fc.constantFrom('a', 'b', ';', ',', '"', '\n', '\r\n', ' ', 'ü', ''), { maxLength: 5 });
  const table = fc
    .tuple(fc.integer({ min: 2, max: 4 }), fc.constantFrom(',', ';', '\t'), fc.constantFrom('\n', '\r\n'))
    .chain(([width, delimiter, newline]) =>
      fc.record({
        rows: fc.array(fc.array(cell, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 8 }),
        delimiter: fc.constant(delimiter),
        newline: fc.constant(newline),
        quoteAll: fc.boolean(),
        last: fc.boolean(),
        cuts: fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 20 }),
      }),
    );

  it('gives what csv-parse gives, wherever the pieces end', () => {
    fc.assert(
      fc.property(table, ({ rows, delimiter, newline, quoteAll, last, cuts }) => {
        const written = rows.map((row) =>
          row
            .map((pieces) => pieces.join(''))
            .map((text) => (quoteAll || /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text))
            .join(delimiter),
        );
        const text = written.join(newline) + (last ? newline : '');
        const expected = parse(text, { delimiter, skip_empty_lines: true, relax_column_count: true });
        expect(read(text, cuts, { delimiter, quote: '"' })).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });

  it('knows no half record: every cut gives the same', () => {
    const text = 'a,"b ""x""\r\ny",c\r\n1,2,3\n"",,""\n\nlast,"line",end';
    const whole = read(text);
    expect(whole).toEqual([
      ['a', 'b "x"\r\ny', 'c'],
      ['1', '2', '3'],
      ['', '', ''],
      ['last', 'line', 'end'],
    ]);
    for (let cut = 1; cut < text.length; cut += 1) expect(read(text, [cut])).toEqual(whole);
    expect(
      read(
        text,
        Array.from(text, () => 1),
      ),
    ).toEqual(whole);
  });

  it('costs a broken record itself alone', () => {
    const text = 'a,b\n"x"y,1\nc,d\n5" pipe,2\ne,f\n"never closed,3\ng,h\n';
    expect(read(text)).toEqual([
      ['a', 'b'],
      'something stands between a closing quote and the delimiter',
      ['c', 'd'],
      'a quote stands within a cell that is not quoted',
      ['e', 'f'],
      'a quote is not closed',
      ['g', 'h'],
    ]);
  });

  it('gives a quote up that is not closed within a megabyte, and reads what follows it', () => {
    const reader = new CsvReader(COMMA);
    const records: CsvRecord[] = [];
    const line = 'x,y\n';
    reader.read(`a,"b\n`, false, (record) => records.push(record));
    const lines = Math.ceil(RECORD_CHARACTERS_MAX / line.length) + 1;
    reader.read(line.repeat(lines), false, (record) => records.push(record));
    expect(records[0]).toBe('a quote is not closed');
    expect(records.slice(1)).toHaveLength(lines);
    expect(records.at(-1)).toEqual(['x', 'y']);
  });
});
