import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { toDatabaseError, type DriverContext } from './pg.errors.js';

const context = (over: Partial<DriverContext> = {}): DriverContext => ({
  phase: 'statement',
  schema: 'alpha',
  ...over,
});
const server = (code: string, more: object = {}): object => ({ message: 'what the server said', code, ...more });
const PHASES = ['connect', 'statement', 'autocommit', 'commit'] as const;

describe('toDatabaseError', () => {
  it.each([
    ['57014', 'DATABASE_TIMEOUT'],
    ['55P03', 'DATABASE_TIMEOUT'],
    ['25P03', 'DATABASE_TIMEOUT'],
    ['40001', 'DATABASE_SERIALIZATION'],
    ['40P01', 'DATABASE_SERIALIZATION'],
    ['42501', 'DATABASE_FORBIDDEN'],
    ['PB001', 'DATABASE_APPEND_ONLY'],
    ['23505', 'DATABASE_CONSTRAINT'],
    ['23503', 'DATABASE_CONSTRAINT'],
    ['28P01', 'DATABASE_LOGIN_REFUSED'],
    ['3D000', 'DATABASE_LOGIN_REFUSED'],
    ['53100', 'DATABASE_FULL'],
    ['53300', 'DATABASE_UNAVAILABLE'],
    ['57P01', 'DATABASE_UNAVAILABLE'],
    ['57P03', 'DATABASE_UNAVAILABLE'],
    ['08006', 'DATABASE_UNAVAILABLE'],
    ['XX001', 'DATABASE_DAMAGED'],
    ['42P01', 'DATABASE_STATEMENT_INVALID'],
    ['22P02', 'DATABASE_STATEMENT_INVALID'],
    // A protocol violation is ours; called a lost connection it would be retried for ever.
    ['08P01', 'DATABASE_STATEMENT_INVALID'],
  ])('maps %s to %s', (sqlstate, code) => {
    expect(toDatabaseError(server(sqlstate), context()).code).toBe(code);
  });

  it.each(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT'])(
    'takes %s for a lost connection, not for an SQLSTATE',
    (code) => {
      expect(toDatabaseError(server(code), context()).code).toBe('DATABASE_UNAVAILABLE');
      expect(toDatabaseError(server(code), context({ phase: 'commit' })).code).toBe('DATABASE_COMMIT_UNKNOWN');
    },
  );

  it('never calls retryable what may have been committed', () => {
    const losses = fc.constantFrom<object>(
      server('ECONNRESET'),
      server('57P01'),
      server('08006'),
      { message: 'Connection terminated unexpectedly' },
      { message: 'Query read timeout' },
    );
    fc.assert(
      fc.property(losses, fc.constantFrom(...PHASES), fc.boolean(), (loss, phase, readOnly) => {
        const mayStand = (phase === 'commit' || phase === 'autocommit') && !readOnly;
        const { code, retryable } = toDatabaseError(loss, context({ phase, readOnly }));
        expect(code).toBe(mayStand ? 'DATABASE_COMMIT_UNKNOWN' : 'DATABASE_UNAVAILABLE');
        expect(retryable).toBe(!mayStand);
      }),
    );
  });

  it('knows that what was never sent was never committed', () => {
    for (const message of [
      'Client has encountered a connection error and is not queryable',
      'timeout exceeded when trying to connect',
    ]) {
      expect(toDatabaseError({ message }, context({ phase: 'commit' })).code).toBe('DATABASE_UNAVAILABLE');
    }
  });

  it('quotes no row: not the detail, not the place, not the value of a wrong form', () => {
    const secret = 'card 4000 0000 0000 0002';
    for (const code of ['23505', '22P02', '23514', '22001']) {
      const fault = toDatabaseError(
        {
          message: code.startsWith('22') ? `invalid input: "${secret}"` : 'refused',
          code,
          detail: secret,
          where: secret,
          constraint: 'c',
        },
        context(),
      );
      expect(JSON.stringify([fault.message, fault.data, fault.stack, String(fault.cause)])).not.toContain('4000');
    }
  });

  it('passes on what is an error of the platform already', () => {
    const fault = new ProbityError('VALUE_INVALID', 'of the work');
    expect(toDatabaseError(fault, context({ phase: 'commit' }))).toBe(fault);
  });
});
