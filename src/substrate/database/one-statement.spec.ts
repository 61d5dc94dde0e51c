import { describe, expect, it } from '@jest/globals';
import { oneStatement, type Part } from './one-statement.js';

const first: Part = { as: 'first', text: 'insert into a values ($1, $2) returning x', values: ['a', 1] };
const second: Part = { as: 'second', text: 'insert into b select x, $1 from first where $1 < $2', values: [2, 3] };
const third: Part = { as: 'third', text: 'delete from c where d = $1', values: ['d'] };

describe('several writes as one statement', () => {
  it('counts the values of its parts through, each part having counted from one', () => {
    const { statement, values } = oneStatement('spec_through', [first, second, third], 'select * from first');
    expect(statement.text).toBe(
      'with first as (insert into a values ($1, $2) returning x), second as (insert into b select x, $3 from first where $3 < $4), ' +
        'third as (delete from c where d = $5) select * from first',
    );
    expect(values).toEqual(['a', 1, 2, 3, 'd']);
  });

  it('does not take $1 of $12 for a place of its own', () => {
    const many = Array.from({ length: 12 }, (_, at) => at);
    const part = { as: 'many', text: 'select $12, $1', values: many };
    const { statement } = oneStatement('spec_twelve', [first, part]);
    expect(statement.text).toContain('many as (select $14, $3)');
  });

  it('has one name and one text for each shape, whatever the values are, and others for other shapes', () => {
    const one = oneStatement('spec_shapes', [first, third]).statement;
    const again = oneStatement('spec_shapes', [{ ...first, values: ['z', 9] }, third]).statement;
    const other = oneStatement('spec_shapes', [first]).statement;
    const elsewhere = oneStatement('spec_elsewhere', [first]).statement;
    expect(again).toBe(one);
    expect(new Set([one.name, other.name, elsewhere.name]).size).toBe(3);
    expect(one.readOnly).toBeUndefined();
  });
});
