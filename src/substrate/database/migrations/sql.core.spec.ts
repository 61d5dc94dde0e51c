import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { lineAt, splitScript, takesOverTransaction } from './sql.core.js';

/** Pieces that hold a semicolon, a quote or a comment sign and are one piece all the same. */
const OPAQUE_PIECES = [
  `'a;b'`,
  `'it''s; fine'`,
  `E'\\'; still inside'`,
  `"odd;name"`,
  `"say ""hi;"""`,
  '$$ begin; end; $$',
  '$fn$ select $$x;$$; $fn$',
  '/* a; /* nested; */ b; */',
  '-- a comment; with more\n',
  '$1',
  'a$b$c',
  '1 - 2',
  'x / y',
] as const;
const PLAIN_PIECES = ['select', 'from', '1', '(', ')', ',', '::int', '=', 'été'] as const;

const piece = fc.oneof(fc.constantFrom(...OPAQUE_PIECES), fc.constantFrom(...PLAIN_PIECES));
const statement = fc
  .array(piece, { minLength: 1, maxLength: 8 })
  // A word first, so that a statement of comments alone, which is none, is not among them.
  .map((pieces) => `select ${pieces.join(' ')}`);

describe('splitScript', () => {
  it('gives back the statements that a script was joined of', () => {
    fc.assert(
      fc.property(fc.array(statement, { maxLength: 6 }), (statements) => {
        const script = statements.map((text) => `${text}\n;\n`).join('');
        expect(splitScript(script).map(({ text }) => text)).toEqual(statements.map((text) => text.trimEnd()));
      }),
    );
  });

  it('names the line on which each statement begins', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(statement, fc.nat(3)), { maxLength: 6 }), (parts) => {
        let script = '';
        const lines = parts.map(([text, blank]) => {
          script += '\n'.repeat(blank);
          const line = script.split('\n').length;
          script += `${text}\n; `;
          return line;
        });
        expect(splitScript(script).map(({ line }) => line)).toEqual(lines);
      }),
    );
  });

  it('never fails and never loses a character but space, comments and semicolons', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', ';', "'", '"', '$', '-', '/', '*', '\n', ' ', '\\', 'E') }),
        (script) => {
          for (const { text } of splitScript(script)) expect(script).toContain(text);
        },
      ),
    );
  });

  it('takes a last statement without a semicolon, and knows an empty script', () => {
    expect(splitScript('select 1')).toEqual([{ text: 'select 1', line: 1 }]);
    expect(splitScript('\n-- nothing;\n/* ; */ ;;\n')).toEqual([]);
  });
});

describe('lineAt', () => {
  it('counts from one', () => {
    expect([0, 1, 2, 3].map((at) => lineAt('a\nb', at))).toEqual([1, 1, 2, 2]);
  });
});

describe('takesOverTransaction', () => {
  it.each([
    'commit',
    'BEGIN',
    'rollback to x',
    'End',
    'savepoint a',
    'start  transaction',
    'set role x',
    'SET LOCAL ROLE x',
    'reset role',
  ])('finds %s', (text) => expect(takesOverTransaction(text)).toBe(true));
  it.each([
    'create table beginning (id int)',
    'set local search_path = x',
    'select 1',
    'comment on table t is $$commit$$',
  ])('lets %s pass', (text) => expect(takesOverTransaction(text)).toBe(false));
});
